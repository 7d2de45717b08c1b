package cloudflare_test

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
	"testing"

	"github.com/woolwichweb/hostenv-provider/hostenv/dnsgate/cloudflare"
)

// fakeToken is what the fake lets in; no other text in these tests is like it.
const fakeToken = "cfut_Zq7xN2vLk9TtB4mWcY8hRj3sDf6gPa1eUoXi5Q0y"

// A fake is Cloudflare's API, as far as the package uses it, over HTTP: pages,
// batches in one transaction in Cloudflare's order, the rules of what may stand
// beside what with their codes, rights, and faults on demand.
type fake struct {
	t    testing.TB
	url  string
	http *httptest.Server

	mu       sync.Mutex
	zones    []cloudflare.Zone
	records  map[string]map[string]cloudflare.Record // zone id, record id
	nextID   int
	pageSize int             // the most that a page of records has
	readOnly map[string]bool // zones that the token may not write
	hidden   map[string]bool // names with a record that no list shows

	requests []string // method, path and query
	writes   int      // batches that were carried out
	// fault decides on every request before it is answered: what it returns is
	// done to it.
	fault func(r *http.Request) fault
	// committed sees the zone before and after every batch.
	committed func(zone string, before, after map[string]cloudflare.Record)
}

// A fault is what a request suffers.
type fault struct {
	status     int    // answered instead, with body
	body       string // "" for an error page
	retryAfter string
	drop       bool // the connection ends without an answer
	carryOut   bool // but what was asked for is done
}

func newFake(t testing.TB, zones ...cloudflare.Zone) *fake {
	f := &fake{t: t, records: map[string]map[string]cloudflare.Record{}, readOnly: map[string]bool{}, hidden: map[string]bool{}, pageSize: 5000}
	for _, z := range zones {
		f.addZone(z)
	}
	f.http = httptest.NewServer(f)
	f.http.Config.ErrorLog = nil
	f.url = f.http.URL + "/client/v4/"
	t.Cleanup(f.http.Close)
	return f
}

func (f *fake) addZone(z cloudflare.Zone) {
	f.zones = append(f.zones, z)
	f.records[z.ID] = map[string]cloudflare.Record{}
}

// zone is an ordinary one.
func zone(id, name string) cloudflare.Zone {
	return cloudflare.Zone{ID: id, Name: name, Status: "active", Type: "full"}
}

// add puts records into a zone, as somebody else would.
func (f *fake) add(zoneID string, records ...cloudflare.Record) (ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range records {
		f.nextID++
		r.ID = fmt.Sprintf("rec%06d", f.nextID)
		f.records[zoneID][r.ID] = r
		ids = append(ids, r.ID)
	}
	return ids
}

// all returns the records of a zone, sorted, without ids.
func (f *fake) all(zoneID string) []cloudflare.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	return sorted(f.records[zoneID])
}

func sorted(records map[string]cloudflare.Record) []cloudflare.Record {
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

func (f *fake) client() *cloudflare.Client { return f.clientWith(fakeToken) }

func (f *fake) clientWith(text string) *cloudflare.Client {
	token, err := cloudflare.NewToken(text)
	if err != nil {
		f.t.Fatal(err)
	}
	return cloudflare.NewClient(token, cloudflare.WithBaseURL(f.url), cloudflare.WithTransport(inTurn{f}))
}

// inTurn sends requests so that the test and the fake's handler never are at
// the fake's fields at once.
type inTurn struct{ f *fake }

func (i inTurn) RoundTrip(r *http.Request) (*http.Response, error) {
	i.f.mu.Lock()
	i.f.mu.Unlock() //nolint:staticcheck // what the test did is done
	response, err := http.DefaultTransport.RoundTrip(r)
	i.f.mu.Lock()
	defer i.f.mu.Unlock()
	return response, err
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, r.Method+" "+r.URL.RequestURI())
	var suffers fault
	if f.fault != nil {
		suffers = f.fault(r)
	}
	answer := w
	if suffers.status != 0 || suffers.drop {
		if !suffers.carryOut {
			answer = nil
		} else {
			answer = httptest.NewRecorder()
		}
	}
	if answer != nil {
		f.serve(answer, r)
	}
	if suffers.drop {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			f.t.Error(err)
			return
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		conn.Close()
		return
	}
	if suffers.status != 0 {
		if suffers.retryAfter != "" {
			w.Header().Set("Retry-After", suffers.retryAfter)
		}
		w.Header().Set("Content-Type", "application/json")
		if suffers.body == "" {
			w.Header().Set("Content-Type", "text/html")
			suffers.body = "<html>error</html>"
		}
		w.WriteHeader(suffers.status)
		fmt.Fprint(w, suffers.body)
	}
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+fakeToken {
		refuse(w, http.StatusForbidden, 10000, "Authentication error")
		return
	}
	path := strings.Split(strings.Trim(strings.TrimPrefix(r.URL.Path, "/client/v4/"), "/"), "/")
	switch {
	case r.Method == http.MethodGet && len(path) == 1 && path[0] == "zones":
		page(w, r, f.zones, 50)
	case r.Method == http.MethodGet && len(path) == 2:
		i := slices.IndexFunc(f.zones, func(z cloudflare.Zone) bool { return z.ID == path[1] })
		if i < 0 {
			refuse(w, http.StatusForbidden, 9109, "Unauthorized to access requested resource")
			return
		}
		succeed(w, f.zones[i], nil)
	case len(path) < 3 || f.records[path[1]] == nil || path[2] != "dns_records":
		refuse(w, http.StatusNotFound, 7003, "Could not route to "+r.URL.Path)
	case r.Method == http.MethodGet:
		records := slices.SortedFunc(maps.Values(f.records[path[1]]), func(a, b cloudflare.Record) int { return strings.Compare(a.ID, b.ID) })
		page(w, r, records, f.pageSize)
	case r.Method == http.MethodPost && len(path) == 4 && path[3] == "batch":
		if f.readOnly[path[1]] {
			refuse(w, http.StatusForbidden, 10000, "Authentication error")
			return
		}
		f.batch(w, r, path[1])
	default:
		f.t.Errorf("the fake does not know %s %s", r.Method, r.URL)
		refuse(w, http.StatusMethodNotAllowed, 10405, "Method not allowed")
	}
}

func page[T any](w http.ResponseWriter, r *http.Request, all []T, most int) {
	number, _ := strconv.Atoi(r.URL.Query().Get("page"))
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
	json.NewEncoder(w).Encode(answer)
}

func refuse(w http.ResponseWriter, status, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprint(w, refusal(code, message))
}

func refusal(code int, message string) string {
	return fmt.Sprintf(`{"success":false,"errors":[{"code":%d,"message":%q}],"messages":[],"result":null}`, code, message)
}

// batch carries out all of a batch, or nothing.
func (f *fake) batch(w http.ResponseWriter, r *http.Request, zoneID string) {
	var b struct {
		Deletes []struct{ ID string }
		Patches []map[string]any
		Puts    []map[string]any
		Posts   []cloudflare.Record
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
		f.t.Error("a PUT was sent, which resets what it does not name")
	}
	before := f.records[zoneID]
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
		if code := f.standsBeside(after, record); code != 0 {
			refuse(w, http.StatusBadRequest, code, "An A, AAAA, or CNAME record with that host already exists.")
			return
		}
		if len(record.Comment) > 100 || record.TTL == 0 || strings.Contains(record.Name, "poison") {
			refuse(w, http.StatusBadRequest, 9005, "Content for the record is invalid.")
			return
		}
		f.nextID++
		record.ID = fmt.Sprintf("rec%06d", f.nextID)
		after[record.ID] = record
		posted = append(posted, record)
	}
	if f.committed != nil {
		f.committed(zoneID, before, after)
	}
	f.records[zoneID] = after
	f.writes++
	succeed(w, map[string]any{"deletes": []any{}, "patches": []any{}, "puts": []any{}, "posts": posted}, nil)
}

// standsBeside returns the code of the rule that keeps a record out, or 0.
func (f *fake) standsBeside(records map[string]cloudflare.Record, record cloudflare.Record) int {
	if f.hidden[record.Name] {
		return 81053
	}
	for r := range maps.Values(records) {
		switch {
		case !strings.EqualFold(r.Name, record.Name):
		case r.Type == record.Type && r.Content == record.Content:
			return 81058
		case r.Type == "CNAME" && record.Type == "CNAME":
			return 81053
		case isAddress(r.Type) && isAddress(record.Type) && (r.Type == "CNAME" || record.Type == "CNAME"):
			return 81053
		case r.Type == "NS" || record.Type == "NS":
			return 81057
		}
	}
	return 0
}

func isAddress(recordType string) bool {
	return recordType == "A" || recordType == "AAAA" || recordType == "CNAME"
}

// guard lets a test fail if a batch changes a foreign record, takes the last
// address record of a name, or leaves a record of ours at odds with its comment.
func (f *fake) guard(cfg cloudflare.Config) {
	f.committed = func(zoneID string, before, after map[string]cloudflare.Record) {
		for _, problem := range violations(cfg, before, after) {
			f.t.Errorf("zone %s: %s", zoneID, problem)
		}
	}
}

// violations returns what a batch did that none may do.
func violations(cfg cloudflare.Config, before, after map[string]cloudflare.Record) (problems []string) {
	had, has := map[string]bool{}, map[string]bool{}
	for r := range maps.Values(after) {
		has[strings.ToLower(r.Name)] = has[strings.ToLower(r.Name)] || isAddress(r.Type)
	}
	for id, r := range before {
		had[strings.ToLower(r.Name)] = had[strings.ToLower(r.Name)] || isAddress(r.Type)
		now, still := after[id]
		adopted := now
		adopted.Comment = r.Comment
		switch ours := r.Comment == cfg.Comment() && isAddress(r.Type); {
		case ours && still && (now.Proxied != r.Proxied || now.TTL != r.TTL || !slices.Equal(now.Tags, r.Tags) || now.Comment != r.Comment || now.Type != r.Type):
			problems = append(problems, fmt.Sprintf("more than the content of our own %v became %v", r, now))
		case ours:
		case !still:
			problems = append(problems, fmt.Sprintf("the foreign record %v was deleted", r))
		case same(r, now):
		case cfg.Adopt && now.Comment == cfg.Comment() && same(adopted, r) && r.Type == "CNAME" && !strings.HasPrefix(r.Comment, "hostenv-provider:"):
		default:
			problems = append(problems, fmt.Sprintf("the foreign record %v became %v", r, now))
		}
	}
	for id, r := range after {
		if _, old := before[id]; !old && (r.Comment != cfg.Comment() || r.Type != "CNAME") {
			problems = append(problems, fmt.Sprintf("the new record %v is not told as ours", r))
		}
	}
	for name := range had {
		if had[name] && !has[name] {
			problems = append(problems, name+" has lost its last address record")
		}
	}
	return problems
}

func same(a, b cloudflare.Record) bool {
	return a.ID == b.ID && a.Name == b.Name && a.Type == b.Type && a.Content == b.Content && a.Comment == b.Comment &&
		a.TTL == b.TTL && a.Proxied == b.Proxied && slices.Equal(a.Tags, b.Tags)
}
