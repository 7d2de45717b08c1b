# The configuration of a front door's nginx, over plain HTTP on a unix socket, with
# the headers of one virtual host.
#
#   headers   [ { name; value; } ]
#   locations by path, the project's own directives
#   listen, upstream, dir  where it listens, where it sends requests, where it writes
{ headers, locations, listen, upstream, dir }:
let
  nginx = import ../../lib/nginx.nix;
  added = [{ name = "X-Robots-Tag"; value = "noindex"; }];
  location = path: own: ''
    location ${path} {
      proxy_pass http://${upstream};
      ${own}
      ${nginx.repeated own { inherit headers added; }}
    }
  '';
in
''
  daemon off;
  pid ${dir}/pid;
  error_log stderr;
  events { }
  http {
    access_log off;
    client_body_temp_path ${dir}/body;
    proxy_temp_path ${dir}/proxy;
    fastcgi_temp_path ${dir}/fastcgi;
    uwsgi_temp_path ${dir}/uwsgi;
    scgi_temp_path ${dir}/scgi;
    server {
      listen unix:${listen};
      add_header X-Robots-Tag "noindex" always;
      ${nginx.hide headers}
      ${nginx.add headers}
      ${builtins.concatStringsSep "\n" (builtins.attrValues (builtins.mapAttrs location locations))}
    }
    # This is last because NixOS does not guarantee that it is first.
    ${nginx.dollar}
  }
''
