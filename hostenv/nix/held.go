package nix

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/woolwichweb/hostenv-provider/hostenv/nix/flakelock"
	"github.com/woolwichweb/hostenv-provider/hostenv/problem"
)

// An own is what the provider's flake says without a customer's code.
type own struct {
	Base  json.RawMessage `json:"base"` // the inventory without projects, null if it fails
	Names []string        `json:"names"`
	Held  struct {
		StoreDir        string          `json:"storeDir"`
		System          string          `json:"system"`
		HostenvHostname string          `json:"hostenvHostname"`
		Library         *tree           `json:"library"`
		Own             json.RawMessage `json:"own"`
		Shared          []string        `json:"shared"`
		Replaced        []string        `json:"replaced"`
		Evaluation      evaluation      `json:"evaluation"`
		Nodes           string          `json:"nodes"`   // the folder of nodesPath in the tree, "" if it is not there
		LeftOut         []string        `json:"leftOut"` // of every cut, see Provider
	} `json:"held"`
	lock *flakelock.Lock
}

// A tree is a folder of a source that the store has.
type tree struct {
	NarHash string `json:"narHash"`
	Dir     string `json:"dir"`
}

// evaluation is provider.evaluation.
type evaluation struct {
	Time          int64    `json:"time"`   // seconds
	Memory        int64    `json:"memory"` // MB
	Output        int64    `json:"output"` // bytes
	AllowedUris   []string `json:"allowedUris"`
	Organisations map[string]struct {
		AllowedUris []string `json:"allowedUris"`
	} `json:"organisations"`
}

func (e evaluation) limits() Limits {
	l := defaultLimits
	if e.Time > 0 {
		l.Time = time.Duration(e.Time) * time.Second
	}
	if e.Memory > 0 {
		l.Memory = e.Memory << 20
	}
	if e.Output > 0 {
		l.Output = e.Output
	}
	return l
}

func (e evaluation) allowed() flakelock.Allowed {
	allowed := flakelock.Allowed{All: e.AllowedUris, Organisations: map[string][]string{}}
	for name, o := range e.Organisations {
		allowed.Organisations[strings.ToLower(name)] = o.AllowedUris
	}
	return allowed
}

// ownPart evaluates the provider's own part. If the options fail, it returns their
// error and, if it can, what the projects need: one run reports all errors.
func (r *Runner) ownPart(ctx context.Context) (*own, error) {
	const rest = "names = p.projectNames; held = p.held;"
	written, err := r.apply(ctx, nil, "p: { base = p.inventoryWith { only = [ ]; }; "+rest+" }")
	failed := (*CommandError)(nil)
	var wrong error
	if errors.As(err, &failed) {
		wrong = inventoryProblem("", reasonOf("", failed, true))
		written, err = r.apply(ctx, nil, "p: { base = null; "+rest+" }")
		if errors.As(err, &failed) {
			return nil, wrong
		}
	}
	if err != nil {
		return nil, err
	}
	o := &own{}
	if err := json.Unmarshal(written, o); err != nil {
		return nil, fmt.Errorf("evaluate the inventory: read what nix wrote: %w", err)
	}
	err = r.complete(o)
	if err != nil {
		return nil, errors.Join(wrong, err)
	}
	return o, wrong
}

// complete adds the provider's flake.lock, and refuses one with a source that a
// customer must not bring.
func (r *Runner) complete(o *own) (err error) {
	if o.lock, err = r.lock(); err != nil {
		return err
	}
	if o.lock == nil {
		o.lock = flakelock.None()
	}
	if o.Held.Library == nil {
		return problem.New("", "nix/lib of hostenv-provider is in no source of the flake", "name the input that it comes from hostenv-provider")
	}
	return o.lock.Allow(o.Names, o.Held.Evaluation.allowed())
}

// document puts the projects into the inventory, in the bytes that Nix writes for
// the whole.
func (o *own) document(projects map[string]json.RawMessage) ([]byte, error) {
	var base map[string]json.RawMessage
	if err := json.Unmarshal(o.Base, &base); err != nil {
		return nil, fmt.Errorf("evaluate the inventory: read what nix wrote: %w", err)
	}
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(base["projects"], &all); err != nil {
		return nil, fmt.Errorf("evaluate the inventory: read what nix wrote: %w", err)
	}
	maps.Copy(all, projects)
	var written bytes.Buffer
	object(&written, all)
	base["projects"] = written.Bytes()
	var document bytes.Buffer
	object(&document, base)
	document.WriteByte('\n')
	return document.Bytes(), nil
}

// object writes a JSON object with its members as they are, sorted by name.
func object(to *bytes.Buffer, members map[string]json.RawMessage) {
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	to.WriteByte('{')
	for i, name := range names {
		if i > 0 {
			to.WriteByte(',')
		}
		key, _ := json.Marshal(name) // of a string
		to.Write(key)
		to.WriteByte(':')
		to.Write(bytes.TrimSpace(members[name]))
	}
	to.WriteByte('}')
}

// A subject is what one process evaluates: the code of one customer.
type subject struct {
	name      string         // of the customer's input
	locked    map[string]any // its source
	folder    string         // of its flake in its source
	part      map[string]any // of the provider's flake.lock, which its evaluation needs
	file      string         // of nix/lib, which evaluates it
	arguments map[string]any // of file, besides `held`
	about     func(error) error
	made      func(result json.RawMessage) []string // store paths that a result names, if not nil

	needed  []flakelock.Needed
	refused map[string]string
	paths   []string // store paths of sources that it may see
}

// problem returns an error about a subject.
func (p *subject) problem(text, fix string) error { return p.about(problem.New("", text, fix)) }

// isValid reports whether the store has what a former result names.
func (p *subject) isValid(ctx context.Context, r *Runner, result json.RawMessage) bool {
	if p.made == nil {
		return true
	}
	paths := p.made(result)
	if len(paths) == 0 {
		return true
	}
	invalid, err := r.Invalid(ctx, paths)
	return err == nil && len(invalid) == 0
}

// projects evaluates all projects, each alone. It returns those that worked, and
// those that failed.
func (r *Runner) projects(ctx context.Context, o *own) (map[string]json.RawMessage, FailedProjects, error) {
	failed := FailedProjects{}
	var all []*subject
	for _, name := range o.Names {
		if r.Wanted != nil && !r.Wanted(name) {
			continue
		}
		p := &subject{
			name: name, part: o.lock.Part(o.Held.Shared, name), file: "held-project.nix", refused: map[string]string{},
			arguments: map[string]any{"name": name, "system": o.Held.System, "hostenvHostname": o.Held.HostenvHostname},
			about:     func(reason error) error { return ofProject(name, reason) },
		}
		var ok bool
		if p.locked, p.folder, ok = o.lock.Input(name); !ok {
			failed[name] = p.problem("flake.lock has no such input", "run `nix flake lock` in the provider's folder")
			continue
		}
		all = append(all, p)
	}
	results := map[string]json.RawMessage{}
	if len(all) == 0 {
		return results, failed, nil
	}
	err := r.hold(ctx, o, all, func(p *subject, result json.RawMessage, err error) {
		if err != nil {
			failed[p.name] = err
		} else {
			results[p.name] = result
		}
	})
	return results, failed, err
}

// ofProject returns a reason without what is said of a project that fails. Of a
// failure of Nix it has the innermost message.
func ofProject(name string, reason error) error {
	if failed := (*CommandError)(nil); errors.As(reason, &failed) {
		return reasonOf(name, failed, false)
	}
	return reason
}

// hold evaluates subjects, as many at once as there are processors, or as Jobs says,
// and calls settled for each, one call at a time.
func (r *Runner) hold(ctx context.Context, o *own, all []*subject, settled func(*subject, json.RawMessage, error)) error {
	if len(all) == 0 {
		return nil
	}
	h, err := r.newHolder(ctx, o.Held.Evaluation.limits(), o.Held.StoreDir)
	if err != nil {
		return err
	}
	defer h.close()
	s := &sources{runner: r, holder: h, own: o, memory: r.memory(), missing: map[string]bool{}}
	if s.conditions, err = r.Conditions(ctx); err != nil {
		return err
	}
	failed := map[*subject]error{}
	if err := s.prepare(ctx, all, failed); err != nil {
		return err
	}
	fetched := slices.DeleteFunc(slices.Clone(all), func(p *subject) bool { return failed[p] != nil })
	s.readLocks(ctx, fetched, failed)

	events := &counter{runner: r, phase: Evaluate}
	var mu sync.Mutex
	jobs := r.Jobs
	if jobs <= 0 {
		jobs = runtime.NumCPU()
	}
	return inTurn(jobs, all, func(p *subject) { events.report(p.name) }, func(p *subject) error {
		result, err := json.RawMessage(nil), failed[p]
		if err == nil {
			result, err = s.evaluate(ctx, p)
		}
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if failure := (*CommandError)(nil); errors.As(err, &failure) {
			err = p.about(failure)
		}
		mu.Lock()
		defer mu.Unlock()
		settled(p, result, err)
		return nil
	})
}

// inTurn calls begin for each value, in their order, and then do, at most n at once.
func inTurn[V any](n int, values []V, begin func(V), do func(V) error) error {
	var (
		wait  sync.WaitGroup
		mu    sync.Mutex
		first error
		slots = make(chan struct{}, n)
	)
	for _, value := range values {
		slots <- struct{}{}
		mu.Lock()
		stop := first != nil
		mu.Unlock()
		if stop {
			break
		}
		begin(value)
		wait.Go(func() {
			defer func() { <-slots }()
			if err := do(value); err != nil {
				mu.Lock()
				defer mu.Unlock()
				first = cmp.Or(first, err)
			}
		})
	}
	wait.Wait()
	return first
}

// tries is how many sources one project may lack, one after the other.
const tries = 100

// evaluate evaluates one subject. If it needs a source that the store does not
// have, evaluate fetches it and begins again.
func (s *sources) evaluate(ctx context.Context, p *subject) (json.RawMessage, error) {
	key := s.key(p)
	if known := s.memory.get(key); known != nil && p.isValid(ctx, s.runner, known) {
		return known, nil
	}
	result, err := s.evaluateAnew(ctx, p)
	if err == nil {
		s.memory.put(key, result)
	}
	return result, err
}

// narHash is the hash of a source at the beginning of a text.
var narHash = regexp.MustCompile(`^[a-z0-9]+-[A-Za-z0-9+/]+=*`)

// evaluateAnew evaluates a subject by one process after the other: the next one begins
// when a source is there that the last one needed. All of them have the time of one,
// and a source is asked for once, for it is the customer's code that asks.
func (s *sources) evaluateAnew(ctx context.Context, p *subject) (json.RawMessage, error) {
	left := s.holder.limits.Time
	brought := map[string]bool{}
	for range tries {
		begun := time.Now()
		expression, err := s.expression(p)
		if err != nil {
			return nil, err
		}
		result, err := s.holder.eval(ctx, expression, p.paths, left)
		failed := (*CommandError)(nil)
		if !errors.As(err, &failed) {
			if err == nil && !json.Valid(result) {
				err = p.problem("nix wrote what is not JSON", "")
			}
			return result, err
		}
		_, rest, needs := strings.Cut(failed.Message(), "hostenv-provider: needs ")
		hash := narHash.FindString(rest)
		if left -= time.Since(begun); !needs || brought[hash] || !s.isMissing(hash) {
			return nil, err
		}
		brought[hash] = true
		if err := s.bring(ctx, p, hash); err != nil {
			return nil, err
		}
	}
	return nil, p.problem(fmt.Sprintf("it needs more than %d sources that are not in the store", tries), "")
}

// expression evaluates a subject by a file of the provider's own nix/lib.
func (s *sources) expression(p *subject) (string, error) {
	held := s.partsOf(p)
	held["missing"] = s.missingOf(p)
	arguments := map[string]any{"held": held}
	maps.Copy(arguments, p.arguments)
	text, err := json.Marshal(arguments)
	if err != nil {
		return "", fmt.Errorf("evaluate %s: %w", p.name, err)
	}
	return fmt.Sprintf("import (%s + %s) (builtins.fromJSON %s)",
		inStore(s.own.Held.Library.NarHash), Quote(s.own.Held.Library.Dir+"/"+p.file), Quote(string(text))), nil
}

// key is all that the result of a subject follows from. Which sources the store has does
// not change a result: held.nix ends the evaluation at one that is missing.
func (s *sources) key(p *subject) string {
	parts := s.partsOf(p)
	maps.Copy(parts, p.arguments)
	for name, value := range s.conditions {
		parts[name] = value
	}
	parts["held"] = s.holder.wrap != nil
	parts["limits"], parts["options"] = s.holder.limits, settings
	parts["library"], parts["file"] = s.own.Held.Library, p.file
	return keyOf(parts)
}

// partsOf is what held.nix gets for a subject, besides the sources that are missing.
func (s *sources) partsOf(p *subject) map[string]any {
	parts := map[string]any{"shared": s.own.Held.Shared, "refused": p.refused, "lock": p.part, "own": nil}
	if s.readsOwn(p) {
		parts["own"] = s.own.Held.Own
	}
	return parts
}

// isInOwn reports whether a subject, or an input that it shares, is a folder of the
// provider's own flake.
func (p *subject) isInOwn() bool {
	nodes, _ := p.part["nodes"].(map[string]any)
	for _, node := range nodes {
		fields, _ := node.(map[string]any)
		if locked, _ := fields["locked"].(map[string]any); flakelock.IsRelative(locked) {
			return true
		}
	}
	return flakelock.IsRelative(p.locked)
}

// inStore is a Nix expression of the tree with a hash, which the store has.
func inStore(narHash string) string {
	return fmt.Sprintf(`builtins.path { name = "source"; path = "${builtins.storeDir}/00000000000000000000000000000000-not-fetched"; sha256 = %s; }`, Quote(narHash))
}

// sources are those of the subjects of one run.
type sources struct {
	runner *Runner
	holder *holder
	own    *own
	memory memory

	conditions map[string]string // what all results follow from

	mu      sync.Mutex
	missing map[string]bool // narHashes that the store lacks
	turn    sync.Mutex      // one fetch at a time
}

func (s *sources) isMissing(hash string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.missing[hash]
	return known
}

func (s *sources) missingList() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []string{}
	for hash, missing := range s.missing {
		if missing {
			list = append(list, hash)
		}
	}
	slices.Sort(list)
	return list
}

// missingOf returns the narHashes that the store lacks, of sources that a subject may
// read: what other customers' locks name is not its matter, and has no bound.
func (s *sources) missingOf(p *subject) []string {
	readable := map[string]bool{}
	add := func(locked map[string]any) {
		hash, _ := locked["narHash"].(string)
		readable[hash] = true
	}
	add(p.locked)
	for _, n := range p.needed {
		if n.Refused == "" {
			add(n.Locked)
		}
	}
	nodes, _ := p.part["nodes"].(map[string]any)
	for _, node := range nodes {
		fields, _ := node.(map[string]any)
		locked, _ := fields["locked"].(map[string]any)
		add(locked)
	}
	if s.readsOwn(p) {
		for _, locked := range s.own.lock.Locked() {
			add(locked)
		}
	}
	return slices.DeleteFunc(s.missingList(), func(hash string) bool { return !readable[hash] })
}

// readsOwn reports whether the evaluation of a subject reads the provider's own flake.
func (s *sources) readsOwn(p *subject) bool { return s.own.Held.Shared == nil || p.isInOwn() }

// prepare fetches the subjects' own sources, and finds out which of the provider's
// the store lacks. A subject whose source cannot be fetched is in failed.
func (s *sources) prepare(ctx context.Context, all []*subject, failed map[*subject]error) error {
	hashes := map[string]map[string]any{}
	note := func(locked map[string]any) {
		if hash, _ := locked["narHash"].(string); hash != "" && !flakelock.IsRelative(locked) {
			hashes[hash] = locked
		}
	}
	for _, locked := range s.own.lock.Locked() {
		note(locked)
	}
	for _, p := range all {
		note(p.locked)
	}
	if err := s.find(ctx, hashes); err != nil {
		return err
	}
	var fetch []map[string]any
	for _, p := range all {
		hash, _ := p.locked["narHash"].(string)
		if path := sourcePath(s.own.Held.StoreDir, hash); path != "" && !flakelock.IsRelative(p.locked) {
			p.paths = []string{path}
			s.holder.hidden = append(s.holder.hidden, path)
		}
		if s.missing[hash] {
			fetch = append(fetch, p.locked)
		}
	}
	lost, err := s.fetch(ctx, s.runner, fetch)
	for _, p := range all {
		hash, _ := p.locked["narHash"].(string)
		if reason := lost[hash]; reason != nil {
			failed[p] = p.about(reason)
		}
	}
	return err
}

// find asks the store which of some trees it lacks.
func (s *sources) find(ctx context.Context, hashes map[string]map[string]any) error {
	paths := map[string]string{}
	for hash := range hashes {
		if path := sourcePath(s.own.Held.StoreDir, hash); path != "" && !s.isMissing(hash) {
			paths[path] = hash
		}
	}
	var list []string
	for path := range paths {
		list = append(list, path)
	}
	slices.Sort(list)
	invalid, err := s.runner.Invalid(ctx, list)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for path := range invalid {
		if hash, ok := paths[path]; ok {
			s.missing[hash] = true
		}
	}
	return nil
}

// bring fetches a source that a project needs: one of the provider's, or one of the
// customer's own flake.lock.
func (s *sources) bring(ctx context.Context, p *subject, hash string) error {
	for _, n := range p.needed {
		if n.Locked["narHash"] != hash || n.Refused != "" {
			continue
		}
		runner := s.runner
		if !n.Named {
			var done func()
			var err error
			if runner, done, err = s.runner.anonymous(); err != nil {
				return err
			}
			defer done()
		}
		return s.fetchFor(ctx, runner, p, n.Locked)
	}
	for _, locked := range s.own.lock.Locked() {
		if locked["narHash"] == hash {
			return s.fetchFor(ctx, s.runner, p, locked)
		}
	}
	return p.problem("it needs a source that no lock names", "")
}

func (s *sources) fetchFor(ctx context.Context, runner *Runner, p *subject, locked map[string]any) error {
	lost, err := s.fetch(ctx, runner, []map[string]any{locked})
	for _, reason := range lost {
		err = reason
	}
	if err != nil && ctx.Err() == nil {
		return p.about(err)
	}
	return err
}

// fetch brings locked sources into the store, with nothing of a customer evaluated. It
// returns why sources cannot be fetched, by narHash.
func (s *sources) fetch(ctx context.Context, runner *Runner, all []map[string]any) (map[string]error, error) {
	lost := map[string]error{}
	if len(all) == 0 {
		return lost, nil
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	var asked []map[string]any
	for _, locked := range all {
		if hash, _ := locked["narHash"].(string); slices.Contains(s.missingList(), hash) {
			asked = append(asked, toFetch(locked))
		}
	}
	answers, err := runner.LockSources(ctx, asked)
	failed := &FailedSources{}
	if err != nil && !errors.As(err, &failed) {
		return lost, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, answer := range answers {
		want, _ := asked[i]["narHash"].(string)
		switch reason := failed.Of(i); {
		case reason != nil:
			lost[want] = reason
		case answer.NarHash != want:
			lost[want] = fmt.Errorf("fetch the sources of flake.lock: %v has the hash %s now, not %s", asked[i]["url"], answer.NarHash, want)
		default:
			s.missing[answer.NarHash] = false
		}
	}
	return lost, nil
}

// toFetch are the attributes by which call-flake.nix fetches a locked source.
func toFetch(locked map[string]any) map[string]any {
	fetch := map[string]any{}
	for name, value := range locked {
		switch name {
		case "dir", "revCount", "allRefs", "dirtyRev", "dirtyShortRev", "__final":
		default:
			fetch[name] = value
		}
	}
	_, hasRev := fetch["rev"]
	switch fetch["type"] {
	case "git":
		if _, ok := fetch["shallow"]; !ok {
			fetch["shallow"] = false
		}
	case "github", "gitlab", "sourcehut":
		if hasRev {
			delete(fetch, "ref")
		}
	}
	return fetch
}

// anonymous returns a runner without credentials: no ssh agent, no keys of the
// user's home, no tokens, and a cache of its own, for a clone in the user's cache may
// have been made with them.
func (r *Runner) anonymous() (*Runner, func(), error) {
	home, err := os.MkdirTemp("", "hostenv-anonymous-")
	if err != nil {
		return nil, nil, fmt.Errorf("make an empty home: %w", err)
	}
	cache := home
	if own, err := os.UserCacheDir(); err == nil {
		cache = filepath.Join(own, "hostenv-provider", "anonymous")
	}
	h := &holder{runner: r, home: home}
	env := append(h.environment(), "XDG_CACHE_HOME="+cache, "GIT_SSH_COMMAND=ssh -F none -o IdentityFile=none -o IdentityAgent=none -o BatchMode=yes")
	for _, name := range []string{"SSL_CERT_FILE", "NIX_SSL_CERT_FILE", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "GIT_CONFIG_GLOBAL"} {
		if value := variable(r.environment(), name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return &Runner{Dir: r.Dir, Nix: r.Nix, Env: env, Jobs: 1}, func() { _ = os.RemoveAll(home) }, nil
}

// readLocks reads the customers' flake.lock as data, and finds the sources that
// they may have.
func (s *sources) readLocks(ctx context.Context, all []*subject, failed map[*subject]error) {
	allowed := s.own.Held.Evaluation.allowed()
	texts, err := s.lockTexts(ctx, all)
	if err != nil {
		// One may be at fault for all.
		for _, p := range all {
			one, err := s.lockTexts(ctx, []*subject{p})
			if err != nil {
				failed[p] = p.about(err)
				continue
			}
			texts[p] = one[p]
		}
	}
	hashes := map[string]map[string]any{}
	for _, p := range all {
		text, ok := texts[p]
		if !ok || text == nil {
			continue
		}
		lock, err := flakelock.Parse([]byte(*text))
		if err == nil {
			p.needed, err = s.own.lock.Customer(p.name, lock, p.folder, s.own.Held.Replaced, allowed)
		}
		if err != nil {
			failed[p] = p.problem("flake.lock: "+Inline(err.Error()), "run `nix flake lock` in the customer's repository, commit flake.lock, and run `"+strings.SplitN(flakelock.Relock(p.name), "`", 2)[0]+"`")
			continue
		}
		for _, n := range p.needed {
			if n.Refused != "" {
				p.refused[n.Path] = n.Refused
			} else if hash, _ := n.Locked["narHash"].(string); hash != "" {
				hashes[hash] = n.Locked
				if path := sourcePath(s.own.Held.StoreDir, hash); path != "" {
					p.paths = append(p.paths, path)
				}
			}
		}
	}
	if err := s.find(ctx, hashes); err != nil {
		for _, p := range all {
			failed[p] = err
		}
	}
}

// lockTexts returns the text of each subject's flake.lock, nil if it has none.
func (s *sources) lockTexts(ctx context.Context, all []*subject) (map[*subject]*string, error) {
	var own tree
	_ = json.Unmarshal(s.own.Held.Own, &own) // without a hash there is no folder in it
	texts := map[*subject]*string{}
	for chunk := range slices.Chunk(all, 100) {
		var list []tree
		var visible []string
		for _, p := range chunk {
			t := tree{Dir: p.folder}
			t.NarHash, _ = p.locked["narHash"].(string)
			if flakelock.IsRelative(p.locked) {
				below, _ := p.locked["path"].(string)
				t = tree{NarHash: own.NarHash, Dir: path.Join(own.Dir, below, p.folder)}
			}
			list = append(list, t)
			visible = append(visible, p.paths...)
		}
		text, err := json.Marshal(list)
		if err != nil {
			return texts, fmt.Errorf("read the customers' flake.lock: %w", err)
		}
		expression := fmt.Sprintf(`map ({ narHash, dir }: let file = %s + "/${dir}${if dir == "" then "" else "/"}flake.lock"; in
if builtins.pathExists file then builtins.readFile file else null) (builtins.fromJSON %s)`,
			strings.Replace(inStore("HASH"), `"HASH"`, "narHash", 1), Quote(string(text)))
		reader := *s.holder
		reader.limits.Output *= int64(len(chunk))
		reader.limits.Time *= 2
		written, err := reader.eval(ctx, expression, visible, reader.limits.Time)
		if err != nil {
			return texts, err
		}
		var found []*string
		if err := json.Unmarshal(written, &found); err != nil || len(found) != len(chunk) {
			return texts, fmt.Errorf("read the customers' flake.lock: nix wrote %d texts for %d projects: %w", len(found), len(chunk), err)
		}
		for i, p := range chunk {
			texts[p] = found[i]
		}
	}
	return texts, nil
}
