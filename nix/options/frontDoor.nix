{ mkOption, types, ... }:
{
  raw = mkOption {
    type = types.listOf types.str;
    default = [ ];
    example = [ "acme" "beta__portal" ];
    description = ''
      The organisations (`organisation`) and projects (`organisation__project`) that the provider trusts as itself.
      Their virtual hosts may set NixOS's options of `services.nginx.virtualHosts`, with which they can reach every
      file that nginx reads, every socket of the node, and the other customers. The virtual hosts of all other
      projects have the [closed form](security.md#front-door) of the front door. `listen*`, `ssl*`, `acme*`,
      `useACMEHost`, `*File`, `default*`, `reuseport` and `quic` are for no project.
    '';
  };
}
