# Where the secrets of an environment stand in the provider's sops file.
let
  inherit (builtins) concatStringsSep elem filter head;
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
}
