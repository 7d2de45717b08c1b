# Where the secrets of an environment stand in the provider's sops file.
let
  inherit (builtins) concatStringsSep elem filter head match;
in
rec {
  # places environment: the keys of the first level that hold an environment's
  # secrets, the most specific first. A user name always has a hyphen, and
  # neither organisation nor project has one or an underscore: no two
  # environments share a place by accident.
  places = { userName, organisation, project, ... }: [
    userName
    "${organisation}_${project}"
    organisation
  ];

  # resolve keys environment secret: the key of the secret, "acme/backups_env",
  # or null where none of its places has it.
  #
  #   keys  the keys of the file, as sops-keys.nix reads them
  resolve = keys: environment: secret:
    let found = filter (key: elem key keys) (candidates environment secret); in
    if found == [ ] then null else head found;

  # candidates environment secret: the keys that would do.
  candidates = environment: secret: map (place: "${place}/${secret}") (places environment);

  # wanted environment secret: them as text for an error.
  wanted = environment: secret: concatStringsSep " or " (candidates environment secret);

  # complaint: what keeps a node from having keys of the sops file, or null.
  #
  #   needs    what needs them, as in "environments on node-a make backups"
  #   who      the same with the names, where these matter
  #   for      what the keys are, as in "the backups of environments on node-a"
  #   all      the keys, [ ] where none is needed, each a text for people
  #   missing  those of them that the file has not
  #   file     the options hostenv.secrets: { file; name; }
  #   known    whether the file is there, or its keys are said otherwise
  #   hasSops  whether the flake has sops-nix
  #
  # One kind of thing that is wrong is said at a time: without a file all are missing.
  complaint = { needs, who ? needs, for, all, missing, file, known, hasSops }:
    let lines = keys: concatStringsSep "" (map (key: "\n- ${key}") keys); in
    if all == [ ] then null
    else if ! hasSops then
      "${who}, whose secrets need sops-nix, and the provider's flake has no input sops-nix: add inputs.sops-nix.url = \"github:Mic92/sops-nix\"; and run `nix flake lock`"
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
