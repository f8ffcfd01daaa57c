package phone_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/phone"
)

func TestEveryWayToWriteANumberIsOne(t *testing.T) {
	for _, text := range []string{
		"13912345678", "139 1234 5678", "139-1234-5678", "+8613912345678", "+86 139 1234 5678", "008613912345678",
		"(+86) 13912345678", "１３９１２３４５６７８", " 13912345678 ", "tel:+86-139-1234-5678",
	} {
		n, err := phone.Parse(text, "CN")
		require.NoError(t, err, text)
		require.Equal(t, "+8613912345678", n.E164(), text)
	}
	for text, want := range map[string]string{"(650) 253-0000": "+16502530000", "011 44 7400 123456": "+447400123456"} {
		n, err := phone.Parse(text, "US")
		require.NoError(t, err, text)
		require.Equal(t, want, n.E164())
	}
}

func TestWhatCannotReceiveIsRefusedWithoutBeingRepeated(t *testing.T) {
	for _, text := range []string{
		"", "12345", "139123456789999", "+86 10 8888 8888" /* a landline */, "400-810-1234" /* a service line */, "13912345678x",
		"hello", "+", "+999123456789", strings.Repeat("1", 1000), "13912345678;drop",
	} {
		_, err := phone.Parse(text, "CN")
		require.ErrorIs(t, err, smsx.ErrNumber, text)
		if len(text) > 4 {
			require.NotContains(t, err.Error(), text)
		}
	}
	_, err := phone.Parse("13912345678", "")
	require.ErrorIs(t, err, smsx.ErrNumber, "no country code, and no region")
}

func TestRegions(t *testing.T) {
	for e164, want := range map[string]string{"+8613912345678": "CN", "+16502530000": "US", "+447400123456": "GB", "+9991234567": "ZZ"} {
		n, err := smsx.ParseNumber(e164)
		require.NoError(t, err)
		require.Equal(t, want, phone.Region(n))
	}
	require.Equal(t, "ZZ", phone.Region(smsx.Number{}))
}

func FuzzParse(f *testing.F) {
	f.Add("+86 139 1234 5678", "CN")
	f.Add("(650) 253-0000", "US")
	f.Add("\xff", "")
	f.Fuzz(func(t *testing.T, text, region string) {
		n, err := phone.Parse(text, region)
		if err != nil {
			require.ErrorIs(t, err, smsx.ErrNumber)
			require.Equal(t, smsx.Number{}, n)
			return
		}
		again, err := phone.Parse(n.E164(), "")
		require.NoError(t, err)
		require.Equal(t, n, again, "one number has one form")
	})
}

func ExampleParse() {
	typed, err := phone.Parse("139 1234-5678", "CN")
	full, _ := smsx.ParseNumber("+8613912345678")
	fmt.Println(typed, typed == full, err)
	// Output: ***78 true <nil>
}
