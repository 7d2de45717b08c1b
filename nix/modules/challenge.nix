# The token of this node, at the path of ACME challenges. `mage dnsGate` asks for it through
# the name of a virtual host: if it comes, a challenge would reach this node too, whatever is
# between. hostenv/dnsgate has the name of its file (Token).
{ config, lib, ... }:
let
  inherit (lib) attrNames concatMap filter genAttrs mkIf mkOption optional types unique;
  inherit (config.services.nginx) virtualHosts;
  cfg = config.hostenv.challengeToken;

  folder = "/.well-known/acme-challenge";
  file = "hostenv-provider";

  hosts = concatMap (e: attrNames e.virtualHosts) (lib.attrValues config.hostenv.environments);
  # Whether NixOS has nginx serve challenges for a virtual host: not for a certificate by
  # DNS-01 (nixos/modules/services/web-servers/nginx).
  challenged = host:
    let
      h = virtualHosts.${host};
      certificate = if h.useACMEHost != null then h.useACMEHost else if h.serverName != null then h.serverName else host;
    in
    (h.enableACME || h.useACMEHost != null) && config.security.acme.certs.${certificate}.dnsProvider == null;

  # Where nginx finds challenges, and so the token.
  roots = unique (filter (root: root != null) (map (host: virtualHosts.${host}.acmeRoot) (filter challenged hosts)));

  # Only for a folder that does not exist yet: NixOS gives it to lego's user when it orders a
  # certificate.
  made.d = { mode = ":0755"; user = ":acme"; group = ":${config.services.nginx.group}"; };
in
{
  options.hostenv.challengeToken = {
    enable = mkOption {
      type = types.bool;
      default = true;
      example = false;
      description = ''
        Whether the front door serves the node's token at `${folder}/${file}`, by which `mage dnsGate` sees that a
        name leads to this node through a proxy or a redirect.
      '';
    };
    name = mkOption {
      type = types.nullOr types.str;
      default = null;
      defaultText = lib.literalMD "the node's name in DNS: its name in the plan, below `provider.hostenvHostname`";
      example = "node-a.hosting.example";
      description = "What the token holds. Without a name there is no token.";
    };
  };

  config = mkIf (cfg.enable && cfg.name != null) {
    # The other virtual hosts have no challenges. Each names itself, so that a redirect to it
    # proves nothing about another host.
    services.nginx.virtualHosts = genAttrs hosts (host: {
      locations = mkIf (! challenged host) {
        "= ${folder}/${file}" = {
          return = "200 \"${cfg.name} $host\\n\"";
          extraConfig = ''
            default_type text/plain;
            auth_basic off;
          '';
        };
      };
    });

    systemd.tmpfiles.settings."20-hostenv-challenge" = lib.mkMerge (map
      (root: genAttrs (optional (lib.hasPrefix "/var/lib/acme/" root) "/var/lib/acme" ++ [ root "${root}/.well-known" "${root}${folder}" ]) (_: made) // {
        "${root}${folder}/${file}"."f+" = { mode = "0644"; argument = cfg.name; };
      })
      roots);
  };
}
