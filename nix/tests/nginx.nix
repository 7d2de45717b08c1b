let
  nginx = import ../lib/nginx.nix;
  headersOf = import ../lib/security-headers.nix;

  frame = { name = "X-Frame-Options"; value = "DENY"; };
  type = { name = "X-Content-Type-Options"; value = "nosniff"; };
  robots = { name = "X-Robots-Tag"; value = "noindex"; };
  repeated = own: nginx.repeated own { headers = [ frame type ]; added = [ robots ]; };

  # hostenv's values for a virtual host that sets no headers.
  hostenv = {
    hsts = true;
    security = {
      csp = null;
      cspMode = "enforce";
      cspReportTo = null;
      reportTo = null;
      referrerPolicy = "strict-origin-when-cross-origin";
      xFrameOptions = "SAMEORIGIN";
      xContentTypeOptions = true;
      hsts = true;
    };
  };
  of = arguments: builtins.listToAttrs (headersOf ({ tls = true; maxAge = 300; } // arguments));
  with_ = security: of { virtualHost = { inherit security; }; };
in
{
  quote = { expr = nginx.quote "default-src 'self'; x"; expected = "\"default-src 'self'; x\""; };
  quote-quotes = { expr = nginx.quote ''{"a":"\b"}''; expected = ''"{\"a\":\"\\b\"}"''; };
  quote-dollar = { expr = nginx.quote "a$b\${c}"; expected = "\"a\${hostenv_dollar}b\${hostenv_dollar}{c}\""; };

  add = { expr = nginx.add [ frame type ]; expected = "add_header X-Frame-Options \"DENY\" always;\nadd_header X-Content-Type-Options \"nosniff\" always;\n"; };
  hide = { expr = nginx.hide [ frame ]; expected = "proxy_hide_header X-Frame-Options;\n"; };

  own-wins = { expr = nginx.without "add_header   x-frame-options ALLOW;" [ frame type ]; expected = [ type ]; };
  own-wins-quoted = { expr = nginx.without "expires 1h;add_header \"X-Frame-Options\"\n\tDENY always;" [ frame ]; expected = [ ]; };
  own-of-another-name = { expr = nginx.without "add_header X-Frame-Options-2 a;" [ frame ]; expected = [ frame ]; };
  hidden-is-not-added = { expr = nginx.without "proxy_hide_header X-Frame-Options;" [ frame ]; expected = [ frame ]; };

  repeated-nothing = { expr = repeated "expires 1h;"; expected = ""; };
  repeated-add = { expr = repeated "add_header X-Frame-Options SAMEORIGIN;"; expected = "add_header X-Content-Type-Options \"nosniff\" always;\nadd_header X-Robots-Tag \"noindex\" always;\n"; };
  repeated-hide = { expr = repeated "proxy_hide_header Server;"; expected = "proxy_hide_header X-Frame-Options;\nproxy_hide_header X-Content-Type-Options;\n"; };

  security-of-hostenv = {
    expr = of { virtualHost = hostenv; };
    expected = {
      Referrer-Policy = "strict-origin-when-cross-origin";
      X-Frame-Options = "SAMEORIGIN";
      X-Content-Type-Options = "nosniff";
      Strict-Transport-Security = "max-age=300";
    };
  };
  security-unsaid = { expr = of { virtualHost = { }; }; expected = { }; };
  security-null = { expr = of { virtualHost = { security = null; hsts = null; }; }; expected = { }; };

  csp = { expr = with_ { csp = "default-src 'self'"; }; expected = { Content-Security-Policy = "default-src 'self'"; }; };
  csp-report = {
    expr = with_ { csp = "default-src 'self'; "; cspReportTo = "group"; cspMode = "report-only"; reportTo = "{}"; };
    expected = { Content-Security-Policy-Report-Only = "default-src 'self'; report-to group"; Report-To = "{}"; };
  };
  csp-group-alone = { expr = with_ { csp = null; cspReportTo = "group"; }; expected = { }; };

  hsts-without-tls = { expr = (of { virtualHost = hostenv; tls = false; }) ? Strict-Transport-Security; expected = false; };
  hsts-off = { expr = (of { virtualHost = hostenv // { hsts = false; }; }) ? Strict-Transport-Security; expected = false; };
  hsts-off-by-security = { expr = (of { virtualHost = { hsts = true; security.hsts = false; }; }); expected = { }; };
  hsts-alone = { expr = of { virtualHost.hsts = true; }; expected = { Strict-Transport-Security = "max-age=300"; }; };
}
