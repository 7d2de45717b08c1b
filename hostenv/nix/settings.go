package nix

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// secretSettings are settings of Nix that hold secrets or name files with them, and that
// no result follows from.
var secretSettings = []string{"access-tokens", "netrc-file", "secret-key-files"}

// settingsInEffect returns the settings of Nix that results can follow from.
func (r *Runner) settingsInEffect(ctx context.Context) (map[string]json.RawMessage, error) {
	written, err := r.Run(ctx, Command{Args: append([]string{"show-config", "--json"}, Features...)})
	if err != nil {
		return nil, fmt.Errorf("ask nix for its settings: %w", err)
	}
	var found map[string]struct {
		Value json.RawMessage `json:"value"`
	}
	if err := decodeJSON(written, &found); err != nil {
		return nil, err
	}
	for _, name := range secretSettings {
		delete(found, name)
	}
	values := map[string]json.RawMessage{}
	for name, setting := range found {
		values[name] = setting.Value
	}
	return values, nil
}

// allSettings returns the settings in effect; it asks Nix once.
func (r *Runner) allSettings(ctx context.Context) (_ map[string]json.RawMessage, err error) {
	r.once.Lock()
	defer r.once.Unlock()
	if r.settings == nil {
		r.settings, err = r.settingsInEffect(ctx)
	}
	return r.settings, err
}

// MaxJobs returns how many derivations Nix builds at once on this machine by its
// settings.
func (r *Runner) MaxJobs(ctx context.Context) (jobs int, err error) {
	settings, err := r.allSettings(ctx)
	if err != nil {
		return 0, err
	}
	if err := json.Unmarshal(settings["max-jobs"], &jobs); err != nil {
		return 0, fmt.Errorf("read nix's setting max-jobs: %w", err)
	}
	return jobs, nil
}

// A Memory keeps the results of evaluations of the provider's own flake, in the same
// files as those of held evaluations.
type Memory struct{ memory memory }

// Memory returns the memory of a runner.
func (r *Runner) Memory() Memory { return Memory{r.memory()} }

// Conditions returns what the result of an evaluation follows from, besides the
// expression and its sources, by name.
func (r *Runner) Conditions(ctx context.Context) (map[string]string, error) {
	version, err := r.Version(ctx)
	if err != nil {
		return nil, err
	}
	all, err := r.allSettings(ctx)
	if err != nil {
		return nil, err
	}
	settings, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("read what nix wrote: %w", err)
	}
	var store []string
	for _, name := range needed {
		if name != "PATH" {
			store = append(store, variable(r.environment(), name))
		}
	}
	_, err = r.lookPath("bwrap") // whether customers' evaluations are held by it
	return map[string]string{
		"version": version, "settings": string(settings), "store": fmt.Sprintf("%q", store), "held": strconv.FormatBool(err == nil),
	}, nil
}

// Get returns the result of a key, nil if there is none or all is evaluated anew.
func (m Memory) Get(key string) json.RawMessage { return m.memory.get(key) }

// Put keeps a result that follows from the key.
func (m Memory) Put(key string, result json.RawMessage) { m.memory.put(key, result) }

// Invalid returns those of some store paths that the store does not have.
func (r *Runner) Invalid(ctx context.Context, paths []string) (map[string]bool, error) {
	invalid := map[string]bool{}
	for chunk := range slices.Chunk(paths, 1000) {
		out, err := r.Run(ctx, Command{Program: "nix-store", Args: append([]string{"--check-validity", "--print-invalid"}, chunk...)})
		if err != nil {
			return nil, fmt.Errorf("ask the store what it has: %w", err)
		}
		for _, path := range strings.Fields(string(out)) {
			invalid[path] = true
		}
	}
	return invalid, nil
}
