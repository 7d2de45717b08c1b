# Text for nginx's configuration.
let
  inherit (builtins) concatStringsSep filter map replaceStrings;
  inherit (import ./strings.nix) contains lower;

  # words text: the text in lower case, with one space around each word.
  words = text: squeeze (" " + lower (replaceStrings [ "\t" "\n" ";" "\"" "'" ] [ " " " " " ; " "" "" ] text) + " ");
  squeeze = text: if contains "  " text then squeeze (replaceStrings [ "  " ] [ " " ] text) else text;

  lines = concatStringsSep "";
in
rec {
  # quote text: the text as one word that nginx takes literally. nginx has no escape
  # for `$`, which begins a variable, so a variable that `dollar` declares replaces it.
  quote = text: "\"${replaceStrings [ "\\" "\"" "$" ] [ "\\\\" "\\\"" "\${hostenv_dollar}" ] text}\"";

  # dollar: the directive that `quote` needs in the http block.
  dollar = "geo $hostenv_dollar { default \"$\"; }\n";

  # has directive text: whether the text has such a directive.
  has = directive: text: contains " ${lower directive} " (words text);

  # without own headers: the headers ([ { name; value; } ]) that the directives
  # `own` do not set themselves.
  without = own: filter (header: ! has "add_header ${header.name}" own);

  # hide headers: directives that remove these headers of a server behind nginx.
  hide = headers: lines (map (header: "proxy_hide_header ${header.name};\n") headers);

  # add headers: directives that set the headers on answers of every status (`always`).
  add = headers: lines (map (header: "add_header ${header.name} ${quote header.value} always;\n") headers);

  # repeated own { headers; added; }: directives of the server that a location with
  # the directives `own` must repeat: a block inherits add_header, and
  # proxy_hide_header, only if it has none.
  #
  #   headers  those that the server adds and hides
  #   added    those that it only adds
  repeated = own: { headers, added }:
    let ours = without own headers; in
    (if has "proxy_hide_header" own then hide ours else "")
    + (if has "add_header" own then add (ours ++ without own added) else "");
}
