# Modules that do not need nixpkgs, evaluated with only the functions of its lib that
# they use. nodes/ tests whole systems.
let
  lib = {
    inherit (builtins) head length mapAttrs replaceStrings stringLength toJSON;
    mkDefault = content: content;
    mkForce = content: content;
    mkIf = condition: content: if condition then content else { };
    mkOrder = _: content: content;
    mkBefore = content: content;
    mkOption = option: option;
    optionalString = condition: text: if condition then text else "";
    last = list: builtins.elemAt list (builtins.length list - 1);
    max = a: b: if a > b then a else b;
    toInt = builtins.fromJSON;
    toLower = builtins.replaceStrings [ "K" "M" ] [ "k" "m" ];
    nameValuePair = name: value: { inherit name value; };
    mapAttrs' = f: set: builtins.listToAttrs (map (name: f name set.${name}) (builtins.attrNames set));
    types = { strMatching = pattern: pattern; ints.between = _: _: "int"; };
  };
  environments.site-main-b7ea262.hostenv = { userName = "site-main-b7ea262"; hostname = "site-main-b7ea262.hosting.example"; };
  pkgs = { gitMinimal = "git"; rsync = "rsync"; };

  session = { environments, monitoring ? false }:
    (import ../modules/sessions.nix { inherit lib pkgs; config.hostenv = { inherit environments; monitoring.enable = monitoring; }; }).environment;

  frontDoor = frontDoor: recommended: import ../modules/front-door.nix {
    inherit lib;
    config = {
      hostenv = {
        inherit environments;
        frontDoor = {
          clientMaxBodySize = "2G";
          proxyTimeout = "600s";
          proxyBufferSize = "128k";
          proxyBuffers = { number = 4; size = "256k"; };
        } // frontDoor;
      };
      services.nginx = { recommendedProxySettings = recommended; proxyTimeout = "600s"; };
    };
  };
  holds = options: (builtins.head (frontDoor options true).config.assertions).assertion;
in
{
  programs = {
    # The path goes by the link that a deploy sets, not by the environment's package.
    expr = (session { inherit environments; }).profiles;
    expected = [ "/nix/var/nix/profiles/per-user/$USER/hostenv" ];
  };
  programs-nowhere = { expr = (session { environments = { }; }).profiles; expected = { }; };
  folders = {
    expr = (session { inherit environments; }).sessionVariables;
    expected = {
      XDG_CACHE_HOME = "$HOME/.cache";
      XDG_CONFIG_HOME = "$HOME/.config";
      XDG_DATA_HOME = "$HOME/.local/share";
      XDG_STATE_HOME = "$HOME/.local/state";
    };
  };
  environments-unmonitored = { expr = (session { inherit environments; }).variables; expected = { }; };
  environments-in-double-quotes = {
    expr = (session { inherit environments; monitoring = true; }).variables.HOSTENV_ENVIRONMENTS_JSON;
    expected = ''{\"site-main-b7ea262\":{\"env\":\"site-main-b7ea262\",\"hostname\":\"site-main-b7ea262.hosting.example\",\"user\":\"site-main-b7ea262\"}}'';
  };

  # This front door accepts all requests that hostenv's own front door accepts.
  limits-by-default = {
    expr = builtins.mapAttrs (_: o: o.default or (builtins.mapAttrs (_: o: o.default) o)) (frontDoor { } true).options.hostenv.frontDoor;
    expected = { clientMaxBodySize = "2G"; proxyTimeout = "600s"; proxyBufferSize = "128k"; proxyBuffers = { number = 4; size = "256k"; }; };
  };
  limits = {
    expr = let n = (frontDoor { } true).config.services.nginx; in [ n.clientMaxBodySize n.proxyTimeout n.commonHttpConfig ];
    expected = [ "2G" "600s" "proxy_buffer_size 128k;\nproxy_buffers 4 256k;\n" ];
  };
  limits-without-recommended-settings = {
    expr = (frontDoor { } false).config.services.nginx.commonHttpConfig;
    expected = ''
      proxy_buffer_size 128k;
      proxy_buffers 4 256k;
      proxy_connect_timeout 600s;
      proxy_send_timeout 600s;
      proxy_read_timeout 600s;
    '';
  };
  buffers = {
    expr = map holds [
      { }
      { proxyBuffers = { number = 3; size = "256k"; }; }
      { proxyBuffers = { number = 2; size = "256k"; }; }
      { proxyBufferSize = "384k"; }
      { proxyBufferSize = "385k"; }
      { proxyBufferSize = "4096"; proxyBuffers = { number = 8; size = "4K"; }; }
      { proxyBufferSize = "1m"; proxyBuffers = { number = 3; size = "1M"; }; }
    ];
    expected = [ true true false true false true true ];
  };
}
