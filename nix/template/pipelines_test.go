package template_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/woolwichweb/hostenv-provider/internal/testenv"
)

// pipeline reads a pipeline of the template with a YAML parser. The key "on" is "True"
// in YAML 1.1.
func pipeline(t *testing.T, name string) map[string]any {
	t.Helper()
	const program = "import json, sys, yaml\nprint(json.dumps({str(k): v for k, v in yaml.safe_load(open(sys.argv[1])).items()}))"
	cmd := exec.CommandContext(t.Context(), testenv.Need(t, "python3-yaml"), "-c", program, filepath.Join("provider", name))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, stderr.String())
	}
	var v map[string]any
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// lines returns the texts of a list of commands.
func lines(v any) (all []string) {
	list, _ := v.([]any)
	for _, item := range list {
		text, _ := item.(string)
		all = append(all, text)
	}
	return all
}

// expression is one of GitHub's, which it replaces before the shell sees it.
var expression = regexp.MustCompile(`\$\{\{[^}]*\}\}`)

// shellcheck checks a script that a runner gives to a shell with -e.
func shellcheck(t *testing.T, shell, where, script string) {
	t.Helper()
	// The pipelines set the variable TASKS to several words. The shell that git starts
	// for a credential helper reads a variable in quotes.
	cmd := exec.CommandContext(t.Context(), testenv.Need(t, "shellcheck"), "--shell="+shell, "--exclude=SC2016,SC2086,SC2154", "-")
	cmd.Stdin = strings.NewReader("set -e\n" + script + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s\n%s", where, err, script, out)
	}
}

// The GitHub workflow reviews pull requests, and deploys the default branch, whatever
// its name is, once a reviewer of the environment lets it.
func TestGitHubPipeline(t *testing.T) {
	v := pipeline(t, ".github/workflows/plan.yml")
	jobs := v["jobs"].(map[string]any)
	const push = "github.event_name == 'push' && github.ref_name == github.event.repository.default_branch"
	for name, condition := range map[string]string{
		"plan": "github.event_name == 'pull_request' || " + push, "nodes": push, "changes": push, "deploy": push,
		"review":    "github.event_name == 'pull_request' && github.event.pull_request.head.repo.full_name == github.repository",
		"customers": "github.event_name == 'schedule'",
	} {
		job, _ := jobs[name].(map[string]any)
		if job["if"] != condition {
			t.Errorf("the job %s runs if %v", name, job["if"])
		}
	}
	for event, filter := range v["True"].(map[string]any) {
		if event != "schedule" && filter != nil {
			t.Errorf("%s is filtered by %v: the default branch may have any name", event, filter)
		}
	}
	for name, job := range jobs {
		for _, step := range job.(map[string]any)["steps"].([]any) {
			if script, ok := step.(map[string]any)["run"].(string); ok {
				if expression.MatchString(script) {
					t.Errorf("%s: an expression in a script may have text of others: %s", name, script)
				}
				shellcheck(t, "bash", name, script)
			}
		}
	}
	gated(t, jobs, "deploy", "environment")
	deploy := jobs["deploy"].(map[string]any)
	if deploy["concurrency"] == nil {
		t.Error("two deploys may run at once")
	}
}

// The GitLab pipeline does the same.
func TestGitLabPipeline(t *testing.T) {
	v := pipeline(t, ".gitlab-ci.yml")
	before := strings.Join(lines(v["default"].(map[string]any)["before_script"]), "\n")
	jobs := map[string]any{}
	for name, job := range v {
		if job, ok := job.(map[string]any); ok && job["script"] != nil {
			jobs[name] = job
			shellcheck(t, "sh", name, before+"\n"+strings.Join(lines(job["script"]), "\n"))
			shellcheck(t, "sh", name+" after_script", strings.Join(lines(job["after_script"]), "\n"))
		}
	}
	rules := func(name string) (conditions []string) {
		list, _ := jobs[name].(map[string]any)["rules"].([]any)
		for _, rule := range list {
			rule := rule.(map[string]any)
			condition, _ := rule["if"].(string)
			if when, ok := rule["when"].(string); ok {
				condition += ", " + when
			}
			conditions = append(conditions, condition)
		}
		return conditions
	}
	const push = "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"
	for name, want := range map[string][]string{
		"review": {`$CI_PIPELINE_SOURCE == "merge_request_event"`}, "customers": {`$CI_PIPELINE_SOURCE == "schedule"`},
		"nodes": {push}, "changes": {push}, "deploy": {push + ", manual"},
	} {
		if diff := cmp.Diff(want, rules(name)); diff != "" {
			t.Errorf("the rules of %s:\n%s", name, diff)
		}
	}
	gated(t, jobs, "deploy", "resource_group")
}

// gated checks that a job deploys the plan that the job before it showed, in a
// protected environment.
func gated(t *testing.T, jobs map[string]any, name, key string) {
	t.Helper()
	job := jobs[name].(map[string]any)
	needs := lines(job["needs"])
	if one, ok := job["needs"].(string); ok {
		needs = []string{one}
	}
	if !slices.Contains(needs, "changes") || job[key] == nil || job["environment"] != "production" {
		t.Errorf("%s needs %v, with %s %v in %v", name, needs, key, job[key], job["environment"])
	}
	text, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte("deploy -reviewed=")) {
		t.Errorf("%s deploys another plan than the reviewed one: %s", name, text)
	}
}
