# The plan alone defines the virtual hosts of customers. NixOS would merge a virtual
# host of the node's own configuration, or of a NixOS module, with a customer's of the
# same name, and nginx would give the requests of a name to the first server that has it.
{ config, lib, options, ... }:
let
  inherit (lib) attrNames concatMap concatStringsSep elem filter mapAttrsToList toLower;
  inherit (config.services.nginx) virtualHosts;

  # The files of the plan, and of the modules that add to its virtual hosts.
  plan = map (d: toString d.file) options.hostenv.environments.definitionsWithLocations;
  ours = plan ++ [ (toString ./challenge.nix) (toString ./headers.nix) ];

  # The virtual hosts that all others define.
  foreign = concatMap
    (d: map (host: { inherit host; file = toString d.file; })
      (lib.optionals (! elem (toString d.file) ours) (filter (host: virtualHosts ? ${host}) (attrNames d.value))))
    options.services.nginx.virtualHosts.definitionsWithLocations;

  # The names that nginx answers to for a virtual host.
  namesOf = host:
    let
      inherit (virtualHosts.${host}) serverName serverAliases;
    in
    map toLower ([ host ] ++ lib.optional (serverName != null) serverName ++ serverAliases);

  alone = user: host:
    let
      others = filter (f: f.host == host || elem host (namesOf f.host)) foreign;
      places = map (f: f.file + lib.optionalString (f.host != host) " (services.nginx.virtualHosts.\"${f.host}\")") others;
    in
    {
      assertion = others == [ ];
      message = "services.nginx.virtualHosts.\"${host}\" belongs to the environment ${user} by ${concatStringsSep " and " plan}, and ${concatStringsSep " and " (lib.unique places)} defines it too: give the node's own host another name, or ask the customer to remove theirs";
    };
in
{
  assertions = lib.concatLists (mapAttrsToList (user: e: map (alone user) (attrNames e.virtualHosts)) config.hostenv.environments);
}
