package aliyun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/bulwark-go/bulwark/smsx"
	"github.com/bulwark-go/bulwark/smsx/internal/vendor"
)

// The vendor's days are those of Beijing, and it has an answer's records in pages.
var beijing = time.FixedZone("UTC+8", 8*60*60)

const (
	pageSize = 50 // the most that the vendor gives
	maxPages = 20
)

// detail is what the vendor has on record of a message.
type detail struct {
	OutId      string
	SendStatus int // 1 on its way, 2 failed, 3 arrived
}

type details struct {
	Code              string
	SmsSendDetailDTOs struct{ SmsSendDetailDTO []detail }
}

// Find asks the vendor for its record of a message to one number that was sent today or
// yesterday: Accepted when it is on its way or there, Rejected when it could not be
// delivered, and Unknown when there is no record, which is no proof, as records lag by
// a minute or so. It finds messages by their ID, so one without is an error. It sends
// nothing. Give it to chain.Reconcile.
func (s *Service) Find(ctx context.Context, m smsx.Message) (smsx.Outcome, error) {
	if m.ID == "" || len(m.Numbers) != 1 {
		return smsx.Unknown, errors.New("aliyun: only a message to one number that has an ID can be found")
	}
	today := time.Now().In(beijing)
	for _, day := range []time.Time{today, today.AddDate(0, 0, -1)} {
		for page := 1; page <= maxPages; page++ {
			found, err := s.details(ctx, m.Numbers[0], day, page)
			if err != nil {
				return smsx.Unknown, err
			}
			for _, d := range found {
				if d.OutId == m.ID {
					return outcomeOf(d), nil
				}
			}
			if len(found) < pageSize {
				break
			}
		}
	}
	return smsx.Unknown, nil
}

func outcomeOf(d detail) smsx.Outcome {
	switch d.SendStatus {
	case 1, 3:
		return smsx.Accepted
	case 2:
		return smsx.Rejected
	default:
		return smsx.Unknown
	}
}

// details is one page of the records of a number and day.
func (s *Service) details(ctx context.Context, n smsx.Number, day time.Time, page int) ([]detail, error) {
	req, err := s.signed(ctx, "QuerySendDetails", url.Values{
		"PhoneNumber": {strings.TrimPrefix(n.E164(), "+")}, "SendDate": {day.Format("20060102")},
		"PageSize": {strconv.Itoa(pageSize)}, "CurrentPage": {strconv.Itoa(page)},
	})
	if err != nil {
		return nil, err
	}
	body, _, err := vendor.Do(s.client, req)
	if err != nil {
		return nil, err
	}
	var a details
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, errors.New("aliyun: the answer is not the service's")
	}
	if a.Code != "OK" {
		return nil, fmt.Errorf("aliyun: asking for records: code %q", a.Code)
	}
	return a.SmsSendDetailDTOs.SmsSendDetailDTO, nil
}
