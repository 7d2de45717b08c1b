# The security headers that a virtual host of an environment asks for
# (hostenv's options virtualHosts.<name>.security and .hsts), as the front door
# sends them.
#
#   virtualHost  from the plan. Without `security` it gets none of these headers
#   tls          whether it answers only over TLS: Strict-Transport-Security must not
#                be sent over plain HTTP (RFC 6797 section 7.2)
#   maxAge       of Strict-Transport-Security, in seconds
#
# Returns [ { name; value; } ].
{ virtualHost, tls, maxAge }:
let
  inherit (import ./strings.nix) dropSuffix hasSuffix;
  security = let value = virtualHost.security or null; in if value == null then { } else value;

  header = name: value: if value == null then [ ] else [{ inherit name value; }];

  # policy " a; b; " is "a; b".
  policy = text:
    if hasSuffix ";" text then policy (dropSuffix ";" text)
    else if hasSuffix " " text then policy (dropSuffix " " text)
    else text;

  csp = security.csp or null;
  group = security.cspReportTo or null;
  hsts = builtins.filter (value: value != null) [ (virtualHost.hsts or null) (security.hsts or null) ];
in
header (if security.cspMode or "enforce" == "report-only" then "Content-Security-Policy-Report-Only" else "Content-Security-Policy")
  (if csp == null then null else policy csp + (if group == null then "" else "; report-to ${group}"))
++ header "Report-To" (security.reportTo or null)
++ header "Referrer-Policy" (security.referrerPolicy or null)
++ header "X-Frame-Options" (security.xFrameOptions or null)
++ header "X-Content-Type-Options" (if security.xContentTypeOptions or false == true then "nosniff" else null)
++ header "Strict-Transport-Security"
  (if tls && hsts != [ ] && builtins.all (value: value) hsts then "max-age=${toString maxAge}" else null)
