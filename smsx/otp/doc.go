// Package otp issues and checks one-time codes: what a person gets by SMS to prove
// that a number is theirs.
//
//	store, err := redisotp.New(rdb)
//	sms, err := otp.NewSMS(svc, "SMS_1", otp.SMSConfig{})
//	codes, err := otp.New(store, sms, keys, otp.Config{CountryCode: "86"})
//	err = codes.Issue(ctx, "login", phone)
//	ok, err := codes.Verify(ctx, "login", phone, "123456")
//
// A code is drawn from the operating system's random numbers, holds for ten
// minutes, can be tried three times and used once. A subject gets one a minute,
// five an hour and ten a day, and a new code ends the one before.
//
// Tries alone do not stop guessing, since every code brings new ones. So wrong
// guesses also count against the subject, over all its codes: ten a UTC day and a
// hundred in 30 days, after which no code is right any more until days have
// passed. A success gives nothing back. From these figures follows how likely
// somebody who does nothing but guess takes over a subject within 30 days and one
// purpose, see [Config.Takeover]; [New] refuses a configuration that is worse than
// [Config.MaxTakeover]. The price: who guesses can lock a subject out for a day.
//
// Codes and subjects never reach a [Store]. It holds a MAC of purpose, subject and
// code, under a name that is a MAC of purpose and subject; see [Keys].
//
// [Codes.Verify] answers false alike for a code that is wrong, expired, used up,
// locked or was never sent. Which it was goes to the operator only, see [Observe].
//
// Errors: [ErrLimited] (in a [LimitedError]), [ErrNoExpiry], [ErrRejected],
// [ErrFull], [ErrSubject], [ErrPurpose] and [FieldError].
package otp
