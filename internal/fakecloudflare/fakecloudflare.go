// Package fakecloudflare is a stand-in for Cloudflare's API, for tests.
package fakecloudflare

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/cloudflare"
)

// Token is the token that the fake accepts. No other text in the tests contains it.
const Token = "cfut_Zq7xN2vLk9TtB4mWcY8hRj3sDf6gPa1eUoXi5Q0y"

// TB is the part of testing.TB that a fake uses.
type TB interface {
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// A Fake serves the part of Cloudflare's API that the package uses, over HTTP:
// pages, batches in one transaction in Cloudflare's order, the rules for records of
// one name with their error codes, permissions, and faults on demand.
type Fake struct {
	t    TB
	URL  string
	HTTP *httptest.Server

	Mu       sync.Mutex
	Zones    []cloudflare.Zone
	Records  map[string]map[string]cloudflare.Record // zone id, record id
	NextID   int
	PageSize int             // the largest number of records on a page
	ReadOnly map[string]bool // zones that the token must not write
	Hidden   map[string]bool // names with a record that the API does not list

	// Tokens are the tokens that see and edit one zone alone, by its id. [Token] sees all
	// zones, unless it is one of these.
	Tokens map[string]string

	Requests []string // method, path and query
	Writes   int      // successful batches
	// Fault returns the fault for a request, before the answer.
	Fault func(r *http.Request) Fault
	// Committed gets the zone before and after every batch.
	Committed func(zone string, before, after map[string]cloudflare.Record)
	// Changed gets the records of a zone after every change.
	Changed func(zone string, records map[string]cloudflare.Record)
}

// A Fault makes a request fail.
type Fault struct {
	Status     int    // of the answer, if not 0
	Body       string // "" for an error page
	RetryAfter string
	Drop       bool // end the connection without an answer
	CarryOut   bool // carry the request out before it fails
}

// New starts a fake, which stops at the end of the test.
func New(t TB, zones ...cloudflare.Zone) *Fake {
	f := &Fake{t: t, Records: map[string]map[string]cloudflare.Record{}, ReadOnly: map[string]bool{}, Hidden: map[string]bool{}, PageSize: 5000}
	for _, z := range zones {
		f.AddZone(z)
	}
	f.HTTP = httptest.NewServer(f)
	f.HTTP.Config.ErrorLog = nil
	f.URL = f.HTTP.URL + "/client/v4/"
	t.Cleanup(f.HTTP.Close)
	return f
}

// AddZone adds a zone without records.
func (f *Fake) AddZone(z cloudflare.Zone) {
	f.Zones = append(f.Zones, z)
	f.Records[z.ID] = map[string]cloudflare.Record{}
}

// Zone returns an active zone with default values.
func Zone(id, name string) cloudflare.Zone {
	return cloudflare.Zone{ID: id, Name: name, Status: "active", Type: "full"}
}

// Add adds records to a zone, as another client of the API would.
func (f *Fake) Add(zoneID string, records ...cloudflare.Record) (ids []string) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	for _, r := range records {
		f.NextID++
		r.ID = fmt.Sprintf("rec%06d", f.NextID)
		f.Records[zoneID][r.ID] = r
		ids = append(ids, r.ID)
	}
	return ids
}

// All returns the records of a zone, sorted, without ids.
func (f *Fake) All(zoneID string) []cloudflare.Record {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	return Sorted(f.Records[zoneID])
}

// Sorted returns records by name, without ids.
func Sorted(records map[string]cloudflare.Record) []cloudflare.Record {
	var all []cloudflare.Record
	for r := range maps.Values(records) {
		r.ID = ""
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b cloudflare.Record) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(fmt.Sprint(a), fmt.Sprint(b)))
	})
	return all
}

// Client returns a client with the token.
func (f *Fake) Client() *cloudflare.Client { return f.ClientWith(Token) }

// ClientWith returns a client with another token.
func (f *Fake) ClientWith(text string) *cloudflare.Client {
	token, err := cloudflare.NewToken(text)
	if err != nil {
		f.t.Fatalf("%v", err)
	}
	return cloudflare.NewClient(token, f.URL, inTurn{f})
}

// inTurn is a transport that orders the accesses of the test and of the handler to the
// fake's fields.
type inTurn struct{ f *Fake }

func (i inTurn) RoundTrip(r *http.Request) (*http.Response, error) {
	i.f.Mu.Lock()
	i.f.Mu.Unlock() //nolint:staticcheck // waits for the test
	response, err := http.DefaultTransport.RoundTrip(r)
	i.f.Mu.Lock()
	defer i.f.Mu.Unlock()
	return response, err
}

// ServeHTTP answers as Cloudflare would.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.Mu.Lock()
	defer f.Mu.Unlock()
	f.Requests = append(f.Requests, r.Method+" "+r.URL.RequestURI())
	var fault Fault
	if f.Fault != nil {
		fault = f.Fault(r)
	}
	switch {
	case fault.Status == 0 && !fault.Drop:
		f.serve(w, r)
		return
	case fault.CarryOut:
		f.serve(httptest.NewRecorder(), r)
	}
	if fault.Drop {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			f.t.Errorf("%v", err)
			return
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		conn.Close()
		return
	}
	if fault.RetryAfter != "" {
		w.Header().Set("Retry-After", fault.RetryAfter)
	}
	w.Header().Set("Content-Type", "application/json")
	if fault.Body == "" {
		w.Header().Set("Content-Type", "text/html")
		fault.Body = "<html>error</html>"
	}
	w.WriteHeader(fault.Status)
	fmt.Fprint(w, fault.Body)
}

func (f *Fake) serve(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	only, limited := f.Tokens[token]
	if token != Token && !limited {
		refuse(w, http.StatusForbidden, 10000, "Authentication error")
		return
	}
	path := strings.Split(strings.Trim(strings.TrimPrefix(r.URL.Path, "/client/v4/"), "/"), "/")
	switch {
	case r.Method == http.MethodGet && len(path) == 1 && path[0] == "zones":
		zones := f.Zones
		if limited {
			zones = slices.DeleteFunc(slices.Clone(zones), func(z cloudflare.Zone) bool { return z.ID != only })
		}
		if name := r.URL.Query().Get("name"); name != "" {
			zones = slices.DeleteFunc(slices.Clone(zones), func(z cloudflare.Zone) bool { return z.Name != name })
		}
		page(w, r, zones, 50)
	case limited && len(path) > 1 && path[1] != only:
		refuse(w, http.StatusForbidden, 9109, "Unauthorized to access requested resource")
	case r.Method == http.MethodGet && len(path) == 2:
		i := slices.IndexFunc(f.Zones, func(z cloudflare.Zone) bool { return z.ID == path[1] })
		if i < 0 {
			refuse(w, http.StatusForbidden, 9109, "Unauthorized to access requested resource")
			return
		}
		succeed(w, f.Zones[i], nil)
	case len(path) < 3 || f.Records[path[1]] == nil || path[2] != "dns_records":
		refuse(w, http.StatusNotFound, 7003, "Could not route to "+r.URL.Path)
	case r.Method == http.MethodGet:
		records := slices.SortedFunc(maps.Values(f.Records[path[1]]), func(a, b cloudflare.Record) int { return strings.Compare(a.ID, b.ID) })
		page(w, r, records, f.PageSize)
	case f.ReadOnly[path[1]]:
		refuse(w, http.StatusForbidden, 10000, "Authentication error")
	case r.Method == http.MethodPost && len(path) == 4 && path[3] == "batch":
		f.batch(w, r, path[1])
	case r.Method == http.MethodPost && len(path) == 3:
		f.create(w, r, path[1])
	case r.Method == http.MethodDelete && len(path) == 4:
		f.remove(w, path[1], path[3])
	default:
		f.t.Errorf("the fake does not know %s %s", r.Method, r.URL)
		refuse(w, http.StatusMethodNotAllowed, 10405, "Method not allowed")
	}
}

func page[T any](w http.ResponseWriter, r *http.Request, all []T, most int) {
	number, _ := strconv.Atoi(r.URL.Query().Get("page"))
	number = max(number, 1) // the first, if none is asked for
	size, _ := strconv.Atoi(r.URL.Query().Get("per_page"))
	size = min(max(size, 1), most)
	pages := (len(all) + size - 1) / size
	from, to := min((number-1)*size, len(all)), min(number*size, len(all))
	succeed(w, slices.Concat([]T{}, all[from:to]), map[string]any{
		"page": number, "per_page": size, "count": to - from, "total_count": len(all), "total_pages": pages,
	})
}

func succeed(w http.ResponseWriter, result, info any) {
	answer := map[string]any{"success": true, "errors": []any{}, "messages": []any{}, "result": result}
	if info != nil {
		answer["result_info"] = info
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		panic(http.ErrAbortHandler)
	}
}

func refuse(w http.ResponseWriter, status, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprint(w, Refusal(code, message))
}

// Refusal returns the body of an error.
func Refusal(code int, message string) string {
	return fmt.Sprintf(`{"success":false,"errors":[{"code":%d,"message":%q}],"messages":[],"result":null}`, code, message)
}

// batch carries out a whole batch or no part of it.
func (f *Fake) batch(w http.ResponseWriter, r *http.Request, zoneID string) {
	var b struct {
		Deletes []cloudflare.Record `json:"deletes"`
		Patches []map[string]any    `json:"patches"`
		Puts    []map[string]any    `json:"puts"`
		Posts   []cloudflare.Record `json:"posts"`
	}
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		refuse(w, http.StatusBadRequest, 9207, "Request body is invalid")
		return
	}
	if n := len(b.Deletes) + len(b.Patches) + len(b.Puts) + len(b.Posts); n > 200 || n == 0 {
		refuse(w, http.StatusBadRequest, 1004, fmt.Sprintf("a batch of %d operations", n))
		return
	}
	if len(b.Puts) > 0 {
		f.t.Errorf("the batch has a PUT, which resets the fields that it does not name")
	}
	before := f.Records[zoneID]
	after := maps.Clone(before)
	for _, d := range b.Deletes {
		if _, ok := after[d.ID]; !ok {
			refuse(w, http.StatusNotFound, 81044, "Record does not exist.")
			return
		}
		delete(after, d.ID)
	}
	for _, p := range b.Patches {
		record, ok := after[fmt.Sprint(p["id"])]
		if !ok {
			refuse(w, http.StatusNotFound, 81044, "Record does not exist.")
			return
		}
		for field, value := range p {
			switch text, _ := value.(string); field {
			case "id":
			case "content":
				record.Content = text
			case "comment":
				record.Comment = text
			default:
				f.t.Errorf("a patch sets %s", field)
			}
		}
		after[record.ID] = record
	}
	posted := []cloudflare.Record{}
	for _, record := range b.Posts {
		if code := f.StandsBeside(after, record); code != 0 {
			refuse(w, http.StatusBadRequest, code, "An A, AAAA, or CNAME record with that host already exists.")
			return
		}
		if len(record.Comment) > 100 || record.TTL == 0 || strings.Contains(record.Name, "poison") {
			refuse(w, http.StatusBadRequest, 9005, "Content for the record is invalid.")
			return
		}
		f.NextID++
		record.ID = fmt.Sprintf("rec%06d", f.NextID)
		after[record.ID] = record
		posted = append(posted, record)
	}
	if f.Committed != nil {
		f.Committed(zoneID, before, after)
	}
	f.Records[zoneID] = after
	f.Writes++
	f.changed(zoneID)
	succeed(w, map[string]any{"deletes": []any{}, "patches": []any{}, "puts": []any{}, "posts": posted}, nil)
}

// create and remove are the writes of other clients, such as lego's.
func (f *Fake) create(w http.ResponseWriter, r *http.Request, zoneID string) {
	var record cloudflare.Record
	if err := json.NewDecoder(r.Body).Decode(&record); err != nil {
		refuse(w, http.StatusBadRequest, 9207, "Request body is invalid")
		return
	}
	if code := f.StandsBeside(f.Records[zoneID], record); code != 0 {
		refuse(w, http.StatusBadRequest, code, "The record already exists.")
		return
	}
	f.NextID++
	record.ID = fmt.Sprintf("rec%06d", f.NextID)
	f.Records[zoneID][record.ID] = record
	f.changed(zoneID)
	succeed(w, record, nil)
}

func (f *Fake) remove(w http.ResponseWriter, zoneID, id string) {
	if _, ok := f.Records[zoneID][id]; !ok {
		refuse(w, http.StatusNotFound, 81044, "Record does not exist.")
		return
	}
	delete(f.Records[zoneID], id)
	f.changed(zoneID)
	succeed(w, map[string]any{"id": id}, nil)
}

func (f *Fake) changed(zoneID string) {
	if f.Changed != nil {
		f.Changed(zoneID, f.Records[zoneID])
	}
}

// StandsBeside returns the code of the rule that forbids a record beside the others, or
// 0.
func (f *Fake) StandsBeside(records map[string]cloudflare.Record, record cloudflare.Record) int {
	if f.Hidden[record.Name] {
		return 81053
	}
	for r := range maps.Values(records) {
		switch {
		case !strings.EqualFold(r.Name, record.Name):
		case r.Type == record.Type && r.Content == record.Content:
			return 81058
		case r.Type == "CNAME" && record.Type == "CNAME":
			return 81053
		case IsAddress(r.Type) && IsAddress(record.Type) && (r.Type == "CNAME" || record.Type == "CNAME"):
			return 81053
		case r.Type == "NS" || record.Type == "NS":
			return 81057
		}
	}
	return 0
}

// IsAddress reports whether records of a type give a name its address.
func IsAddress(recordType string) bool {
	return recordType == "A" || recordType == "AAAA" || recordType == "CNAME"
}

// Guard makes the test fail if a batch changes a foreign record, removes the last
// address record of a name, or makes a record of ours contradict its comment.
func (f *Fake) Guard(cfg cloudflare.Config) {
	f.Committed = func(zoneID string, before, after map[string]cloudflare.Record) {
		for _, problem := range Violations(cfg, before, after) {
			f.t.Errorf("zone %s: %s", zoneID, problem)
		}
	}
}

// Violations returns the changes of a batch that are never allowed.
func Violations(cfg cloudflare.Config, before, after map[string]cloudflare.Record) (problems []string) {
	had, has := map[string]bool{}, map[string]bool{}
	for r := range maps.Values(after) {
		has[strings.ToLower(r.Name)] = has[strings.ToLower(r.Name)] || IsAddress(r.Type)
	}
	for id, r := range before {
		had[strings.ToLower(r.Name)] = had[strings.ToLower(r.Name)] || IsAddress(r.Type)
		now, still := after[id]
		adopted := now
		adopted.Comment = r.Comment
		switch ours := r.Comment == cfg.Comment() && IsAddress(r.Type); {
		case ours && still && (now.Proxied != r.Proxied || now.TTL != r.TTL || !slices.Equal(now.Tags, r.Tags) || now.Comment != r.Comment || now.Type != r.Type):
			problems = append(problems, fmt.Sprintf("more than the content of our own %v became %v", r, now))
		case ours:
		case !still:
			problems = append(problems, fmt.Sprintf("the foreign record %v was deleted", r))
		case Same(r, now):
		case cfg.Adopt && now.Comment == cfg.Comment() && Same(adopted, r) && r.Type == "CNAME" && !strings.HasPrefix(r.Comment, "hostenv-provider:"):
		default:
			problems = append(problems, fmt.Sprintf("the foreign record %v became %v", r, now))
		}
	}
	for id, r := range after {
		if _, old := before[id]; !old && (r.Comment != cfg.Comment() || r.Type != "CNAME") {
			problems = append(problems, fmt.Sprintf("the new record %v is not marked as ours", r))
		}
	}
	for name := range had {
		if had[name] && !has[name] {
			problems = append(problems, name+" lost its last address record")
		}
	}
	return problems
}

// Same reports whether two records are equal.
func Same(a, b cloudflare.Record) bool {
	return a.ID == b.ID && a.Name == b.Name && a.Type == b.Type && a.Content == b.Content && a.Comment == b.Comment &&
		a.TTL == b.TTL && a.Proxied == b.Proxied && slices.Equal(a.Tags, b.Tags)
}
