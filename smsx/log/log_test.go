package log_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/logger"
	"github.com/bulwark-go/bulwark/logger/loggertest"
	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/log"
	"github.com/bulwark-go/bulwark/smsx/smsxtest"
)

func TestConformance(t *testing.T) {
	smsxtest.Test(t, func(t testing.TB) smsxtest.Bench {
		lines := loggertest.New(t)
		return smsxtest.Bench{Service: log.New("desk", lines.Logger()), Sent: func(n smsx.Number) (count int) {
			for _, r := range lines.Records() {
				count += strings.Count(fmt.Sprint(r), n.String())
			}
			return count
		}}
	})
}

func TestTheLineHidesNumbersAndArguments(t *testing.T) {
	lines := loggertest.New(t)
	m := smsxtest.Message(t, 1)
	_, err := log.New("desk", lines.Logger()).Send(t.Context(), m)
	require.NoError(t, err)
	require.Len(t, lines.Records(), 1)
	lines.RequireNowhere(m.Args[0].Value)
	lines.RequireNowhere(m.Numbers[0].E164()[3:])
	lines.RequireLine(logger.LevelInfo, "sms not sent, as this is development", logger.String("template", m.Template))
}

func ExampleNew() {
	svc := log.New("desk", logger.New(nil)) // or over zap, slog or zerolog
	number, _ := smsx.ParseNumber("+8613912345678")
	receipt, err := svc.Send(context.Background(), smsx.Message{Template: "SMS_1", Numbers: []smsx.Number{number}})
	fmt.Println(receipt.Results[0].Outcome, err)
	// Output: accepted <nil>
}
