# The keys of an environment's secrets in the provider's sops file.
let
  inherit (builtins) concatStringsSep elem filter head match;
in
rec {
  # places environment: the keys of the first level that hold an environment's
  # secrets, the most specific first. A user name always has a hyphen, and
  # organisation and project have neither a hyphen nor an underscore, so that these
  # keys cannot collide.
  places = { userName, organisation, project, ... }: [
    userName
    "${organisation}_${project}"
    organisation
  ];

  # resolve keys environment secret: the key of the secret, "acme/backups_env",
  # or null if no place has it.
  #
  #   keys  the keys of the file, as sops-keys.nix reads them
  resolve = keys: environment: secret:
    let found = filter (key: elem key keys) (candidates environment secret); in
    if found == [ ] then null else head found;

  # candidates environment secret: the keys that may hold it.
  candidates = environment: secret: map (place: "${place}/${secret}") (places environment);

  # wanted environment secret: those keys as text for an error.
  wanted = environment: secret: concatStringsSep " or " (candidates environment secret);

  # complaint: why a node cannot get its secrets from the sops file, or null.
  #
  #   needs    what needs them, as in "environments on node-a make backups"
  #   named    the same with the names of environments
  #   for      the purpose, as in "the backups of environments on node-a"
  #   all      the keys that are needed, each a text for people
  #   missing  those of them that the file does not have
  #   file     the options hostenv.secrets: { file; name; }
  #   known    whether the file exists, or hostenv.secrets.keys is set
  #   hasSops  whether the flake has sops-nix
  #
  # It reports one cause: without a file, all keys are missing.
  complaint = { needs, named ? needs, for, all, missing, file, known, hasSops }:
    let lines = keys: concatStringsSep "" (map (key: "\n- ${key}") keys); in
    if all == [ ] then null
    else if ! hasSops then
      "${named}, whose secrets need sops-nix, and the provider's flake has no input sops-nix: add inputs.sops-nix.url = \"github:Mic92/sops-nix\"; and run `nix flake lock`"
    else if file.file == null then
      "provider.secretsPath is not set, and ${needs}: set it to a sops file in YAML that has the keys${lines all}"
    else if match ".*[.]json" (toString file.file) != null then
      "provider.secretsPath is ${file.name}: sops-nix finds no keys below other keys in JSON; write it as YAML with the keys${lines all}"
    else if missing == [ ] then null
    else if ! known then
      "provider.secretsPath is ${file.name}, which does not exist, and ${needs}: write it (`sops ${file.name}`, then `git add` it) with the keys${lines all}"
    else
      "${file.name} has no secrets for ${for}: add (`sops ${file.name}`) the keys${lines missing}";
}
