package cloudflare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cloudflare/cloudflare-go/v7/dns"
	"github.com/cloudflare/cloudflare-go/v7/option"
	"github.com/cloudflare/cloudflare-go/v7/zones"
)

const (
	// Cloudflare may return smaller pages, so total_pages decides where a list ends.
	zonesPerPage   = 50 // Cloudflare's limit
	recordsPerPage = 5000

	// maxListings limits how often the client reads a list that changes meanwhile.
	maxListings = 4

	// requestTimeout limits one call with its whole answer.
	requestTimeout = 60 * time.Second
)

// A Client is Cloudflare's [API].
type Client struct {
	token   Token
	zones   *zones.ZoneService
	records *dns.RecordService
}

// NewClient returns a client with the rights of the token. It repeats no request by
// itself and follows no redirect. It sends its requests, and with them the token, to
// baseURL if that is not empty (see [BaseURL]), and by transport if that is not nil.
func NewClient(token Token, baseURL string, transport http.RoundTripper) *Client {
	requests := []option.RequestOption{
		option.WithEnvironmentProduction(),
		option.WithHTTPClient(&http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}),
		option.WithMaxRetries(0),
		option.WithRequestTimeout(requestTimeout),
		option.WithAPIToken(token.Reveal()),
	}
	if baseURL != "" {
		requests = append(requests, option.WithBaseURL(baseURL))
	}
	return &Client{token: token, zones: zones.NewZoneService(requests...), records: dns.NewRecordService(requests...)}
}

// An answer is the body of every answer. We decode it ourselves, because the library's
// types hide total_pages.
type answer[T any] struct {
	Success bool      `json:"success"`
	Errors  []Message `json:"errors"`
	Result  T         `json:"result"`
	Info    struct {
		TotalPages int `json:"total_pages"`
		TotalCount int `json:"total_count"`
	} `json:"result_info"`
}

// call makes one call and reads its answer.
func call[T any](ctx context.Context, c *Client, what string, do func(options ...option.RequestOption) error) (*answer[T], error) {
	var response *http.Response
	a := &answer[T]{}
	err := do(option.WithResponseInto(&response), option.WithResponseBodyInto(a))
	if err == nil && a.Success {
		return a, nil
	}
	if ctx.Err() != nil { // not only the timeout of this call
		return nil, fmt.Errorf("cloudflare: %s: %w", what, context.Cause(ctx))
	}
	e := &APIError{Call: what, Errors: a.Errors}
	if response != nil {
		e.Status = response.StatusCode
		e.RetryAfter = retryAfter(response.Header)
	}
	// The library's error has the request, which has the token.
	if answered := (*dns.Error)(nil); errors.As(err, &answered) {
		for _, m := range answered.Errors {
			e.Errors = append(e.Errors, Message{m.Code, m.Message})
		}
	} else if err != nil && e.Status < http.StatusBadRequest {
		e.Cause = err.Error()
	}
	e.Cause = c.token.Redact(e.Cause)
	for i := range e.Errors {
		e.Errors[i].Message = c.token.Redact(e.Errors[i].Message)
	}
	return nil, e
}

// retryAfter reads the header Retry-After: seconds, or a date.
func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(v); err == nil && seconds >= 0 {
		return time.Duration(min(seconds, 24*60*60)) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// list reads a list page by page. It starts again if the list changed meanwhile.
func list[T any](ctx context.Context, c *Client, what string, id func(T) string, page func(page int, options ...option.RequestOption) error) ([]T, error) {
	for range maxListings {
		var all []T
		seen := map[string]bool{}
		total := 0
		for n := 1; ; n++ {
			a, err := call[[]T](ctx, c, what, func(options ...option.RequestOption) error { return page(n, options...) })
			if err != nil {
				return nil, err
			}
			for _, item := range a.Result {
				if !seen[id(item)] {
					seen[id(item)] = true
					all = append(all, item)
				}
			}
			if n == 1 {
				total = a.Info.TotalCount
			} else if a.Info.TotalCount != total {
				break // an element of a later page may have moved to an earlier one
			}
			if n < a.Info.TotalPages {
				continue
			}
			if len(all) == total || n == 1 && total == 0 {
				return all, nil
			}
			break
		}
	}
	return nil, &APIError{Call: what, Cause: "the list changed during each of several reads"}
}

// Zones returns the zones that the token can see.
func (c *Client) Zones(ctx context.Context) ([]Zone, error) {
	return list(ctx, c, "list the zones", func(z Zone) string { return z.ID }, func(page int, options ...option.RequestOption) error {
		var p zones.ZoneListParams
		set(&p.Page.Value, &p.Page.Present, float64(page))
		set(&p.PerPage.Value, &p.PerPage.Present, zonesPerPage)
		_, err := c.zones.List(ctx, p, options...)
		return err
	})
}

// Zone returns the zone with an id.
func (c *Client) Zone(ctx context.Context, id string) (Zone, error) {
	a, err := call[Zone](ctx, c, "read the zone "+id, func(options ...option.RequestOption) error {
		var p zones.ZoneGetParams
		set(&p.ZoneID.Value, &p.ZoneID.Present, id)
		_, err := c.zones.Get(ctx, p, options...)
		return err
	})
	if err != nil {
		return Zone{}, err
	}
	return a.Result, nil
}

// Records returns all the records of a zone.
func (c *Client) Records(ctx context.Context, zoneID string) ([]Record, error) {
	return list(ctx, c, "list the records of zone "+zoneID, func(r Record) string { return r.ID }, func(page int, options ...option.RequestOption) error {
		var p dns.RecordListParams
		set(&p.ZoneID.Value, &p.ZoneID.Present, zoneID)
		set(&p.Page.Value, &p.Page.Present, float64(page))
		set(&p.PerPage.Value, &p.PerPage.Present, recordsPerPage)
		_, err := c.records.List(ctx, p, options...)
		return err
	})
}

// Write sends a batch, once.
func (c *Client) Write(ctx context.Context, b Batch) ([]Record, error) {
	p := params(b)
	what := fmt.Sprintf("write %d records of zone %s", b.Operations(), b.ZoneID)
	a, err := call[struct {
		Posts []Record `json:"posts"`
	}](ctx, c, what, func(options ...option.RequestOption) error {
		_, err := c.records.Batch(ctx, p, options...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return a.Result.Posts, nil
}

// params returns the library's form of a batch.
func params(b Batch) dns.RecordBatchParams {
	var p dns.RecordBatchParams
	set(&p.ZoneID.Value, &p.ZoneID.Present, b.ZoneID)
	for _, r := range b.Deletes {
		var d dns.RecordBatchParamsDelete
		set(&d.ID.Value, &d.ID.Present, r.ID)
		p.Deletes.Value = append(p.Deletes.Value, d)
	}
	for _, patch := range b.Patches {
		var d dns.BatchPatchCNAMERecordParam
		set(&d.ID.Value, &d.ID.Present, patch.ID)
		if patch.Set.Content != nil {
			set(&d.Content.Value, &d.Content.Present, *patch.Set.Content)
		}
		if patch.Set.Comment != nil {
			set(&d.Comment.Value, &d.Comment.Present, *patch.Set.Comment)
		}
		p.Patches.Value = append(p.Patches.Value, d)
	}
	for _, r := range b.Posts {
		var d dns.RecordBatchParamsPost
		set(&d.Name.Value, &d.Name.Present, r.Name)
		set(&d.Type.Value, &d.Type.Present, dns.RecordBatchParamsPostsType(r.Type))
		set(&d.Content.Value, &d.Content.Present, r.Content)
		set(&d.Comment.Value, &d.Comment.Present, r.Comment)
		set(&d.TTL.Value, &d.TTL.Present, dns.TTL(r.TTL))
		set(&d.Proxied.Value, &d.Proxied.Present, r.Proxied)
		if len(r.Tags) > 0 {
			set(&d.Tags.Value, &d.Tags.Present, any(r.Tags))
		}
		p.Posts.Value = append(p.Posts.Value, d)
	}
	p.Deletes.Present = len(b.Deletes) > 0
	p.Patches.Present = len(b.Patches) > 0
	p.Posts.Present = len(b.Posts) > 0
	return p
}

// set sets a field of the library's parameters. Only the library's root package has a
// function for that, and it imports 131 packages.
func set[T any](value *T, present *bool, v T) { *value, *present = v, true }

// UnmarshalJSON reads a record as Cloudflare sends it.
func (r *Record) UnmarshalJSON(data []byte) error {
	type plain Record
	sent := struct {
		*plain
		TTL     float64 `json:"ttl"`     // Cloudflare's schema says number
		Comment *string `json:"comment"` // null if there is none
	}{plain: (*plain)(r)}
	if err := json.Unmarshal(data, &sent); err != nil {
		return err
	}
	r.TTL = int(sent.TTL)
	if sent.Comment != nil {
		r.Comment = *sent.Comment
	}
	r.Type = strings.ToUpper(r.Type)
	return nil
}
