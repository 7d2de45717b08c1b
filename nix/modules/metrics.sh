# shellcheck shell=bash disable=SC2016 # these are variables of jq
# Writes the metrics of deploys and certificates, for the textfile collector of
# Prometheus' node exporter. nix/modules/metrics.nix installs this program.
#
#   hostenv-metrics STATE FILE
#
# STATE is the folder of the deploy user's records (hostenv/deploy/remote/agent.sh), and
# FILE what to write. The node exporter never sees a part of it.
set -euo pipefail
export PATH=@path@ LC_ALL=C
umask 022

state=$1 file=$2
node=@node@         # environments and certificates of the system, as JSON
files=@acme@        # a folder for each certificate

# record NAME BYTES prints the end of a record of the deploy user's. It may be any file.
record() {
  if [ -f "$state/$1" ]; then timeout 10 tail -c "$2" -- "$state/$1" | tr -d '\000'; fi
}

# certificates prints lines of JSON: the name of a certificate, its issuer, and when it
# expires.
certificates() {
  local name text issuer
  jq -r '.certificates[]' "$node" | while IFS= read -r name; do
    text=$(openssl x509 -noout -enddate -issuer -in "$files/$name/fullchain.pem" 2>/dev/null) || continue
    issuer=ca
    case "$text" in *"minica root ca"*) issuer=self-signed ;; esac
    text=$(sed -n 's/^notAfter=//p' <<<"$text")
    jq -nc --arg name "$name" --arg issuer "$issuer" --argjson expiry "$(date -d "$text" +%s)" '[$name, $issuer, $expiry]'
  done
}

# orders prints the states of the orders as JSON, on a node that orders outside of switches.
orders() {
  if command -v hostenv-certificates >/dev/null; then hostenv-certificates status; else echo '[]'; fi
}

# seen prints when the records were written last.
seen() {
  stat -c %y -- "$state/plan" "$state/deploys" 2>/dev/null || true
}

# metrics prints the metrics.
metrics() {
  jq -nr \
    --slurpfile node "$node" \
    --rawfile plan <(record plan 65536) \
    --rawfile deploys <(record deploys 4194304) \
    --rawfile certificates <(certificates) \
    --rawfile orders <(orders) '
    def escaped: tostring | gsub("\\\\"; "\\\\") | gsub("\""; "\\\"") | gsub("\n"; "\\n");
    def labels: if length == 0 then "" else "{" + ([to_entries[] | "\(.key)=\"\(.value | escaped)\""] | join(",")) + "}" end;
    # family HELP SAMPLES: a metric, unless it has no samples.
    def family($name; $help; $samples):
      if $samples == [] then empty
      else "# HELP \($name) \($help)", "# TYPE \($name) gauge", ($samples[] | "\($name)\(.[0] | labels) \(.[1])") end;
    def seconds: sub("\\.[0-9]+Z$"; "Z") | fromdateiso8601;
    def lines: split("\n")[] | fromjson?;

    $node[0].environments as $environments
    | (["system"] + $environments) as $known
    | ($plan | split("\n")) as $lines
    | (($lines[0] // "") | split(" ")) as $record
    | (([$lines[1:][] | select(startswith("held ")) | split(" ")[1:]] | first) // []) as $held
    # The newest deploy of each profile that the node has now.
    | (reduce ($deploys | lines | objects | select((.time | type) == "string" and (.profiles | type) == "array")
        | ((.time | seconds)?) as $time | .profiles[] | objects | {profile, state, checks, $time}) as $d ({};
        if any($known[]; . == $d.profile) then .[$d.profile] = $d else . end)) as $newest

    | family("hostenv_plan_serial"; "The number of the last plan that a deploy brought.";
        [select($record[0] // "" | test("^[0-9]{1,9}$")) | [{}, ($record[0] | tonumber)]]),
      family("hostenv_plan_timestamp_seconds"; "When the last deploy began that brought a plan.";
        [$record[3] // "" | seconds? | [{}, .]]),
      family("hostenv_deploy_timestamp_seconds"; "When a deploy last changed the profile, or failed to.";
        [$newest[] | [{profile}, .time]]),
      family("hostenv_deploy_success"; "Whether that deploy brought the planned path, and its checks passed.";
        [$newest[] | [{profile}, (if .state == "active" and .checks != "failed" then 1 else 0 end)]]),
      family("hostenv_environment_held_back"; "Whether the plan holds the environment back.";
        [$environments[] | . as $environment | [{$environment}, (if any($held[]; . == $environment) then 1 else 0 end)] | select($record[3])]),
      family("hostenv_certificate_expiry_timestamp_seconds"; "When the certificate in place expires.";
        [$certificates | lines | arrays | [{certificate: .[0], issuer: .[1]}, .[2]]]),
      family("hostenv_certificate_order_failed"; "Whether the last order of the certificate failed.";
        [$orders | fromjson? | .[] | objects | [{certificate: .name}, (if .failed then 1 else 0 end)]])
    '
}

mkdir -p -- "${file%/*}"
# systemd does not see a record that is written while this runs.
before=none
until [ "$before" = "$(seen)" ]; do
  before=$(seen)
  metrics >"$file.new"
  mv -f -- "$file.new" "$file"
done
