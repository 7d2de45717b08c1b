# The option provider.nodes.<name>.checks. Its values have the form of the checks of
# hostenv's deploymentVerification; hostenv/plan/checks reads both.
{ lib, nullable }:
let
  inherit (lib) mkOption types;
in
nullable
  (types.listOf (types.submodule {
    options = {
      name = mkOption {
        type = types.singleLineStr;
        example = "status page";
        description = "What the check is called in reports.";
      };
      request = mkOption {
        description = "The request, to `<node>.<hostenvHostname>`.";
        type = types.submodule {
          options = {
            virtualHost = mkOption { type = types.singleLineStr; example = "status.hosting.example"; description = "The host name to ask for."; };
            scheme = nullable (types.enum [ "http" "https" ]) "https"
              "`null` for `https` if the plan serves the host over TLS, and `http` if not.";
            path = mkOption { type = types.singleLineStr; default = "/"; example = "/health"; description = "The path, perhaps with a query."; };
            method = mkOption { type = types.enum [ "GET" "HEAD" "OPTIONS" ]; default = "GET"; example = "HEAD"; description = "The method."; };
            followRedirects = mkOption { type = types.bool; default = false; example = true; description = "Whether to follow redirects to names that the node's checks ask for."; };
            timeoutSeconds = mkOption { type = types.ints.between 1 600; default = 15; example = 60; description = "The time for the check with all its tries."; };
            tlsMode = mkOption { type = types.enum [ "strict" "insecure" ]; default = "strict"; example = "insecure"; description = "Whether the certificate must be valid for the host name."; };
          };
        };
      };
      constraints = mkOption {
        type = types.attrsOf (types.oneOf [ types.int types.bool types.singleLineStr ]);
        default = { };
        example = { minHttpStatus = 200; maxHttpStatus = 299; };
        description = "The constraints of docs/deploy-verification.md, by name.";
      };
    };
  })) [{ name = "status page"; request.virtualHost = "status.hosting.example"; constraints.maxHttpStatus = 299; }]
  ''
    Checks that the machine that deploys makes before and after the node's
    system is activated. If one fails that did not fail before, the node goes
    back to its system of before, and its environments stay as they are. The
    node itself checks sshd, nginx and its units: docs/nodes.md. `null` for none.
  ''
