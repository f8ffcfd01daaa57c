package outbox_test

const envVictim = "BULWARK_OUTBOX_VICTIM"

func victim() {}
