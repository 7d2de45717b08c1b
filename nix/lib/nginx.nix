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
  # quote text: the text as one word that nginx takes literally. A `$` begins a
  # variable wherever nginx would take one and has no escape: it comes out of a
  # variable of its own, which `dollar` declares.
  quote = text: "\"${replaceStrings [ "\\" "\"" "$" ] [ "\\\\" "\\\"" "\${hostenv_dollar}" ] text}\"";

  # dollar: what `quote` needs in the http block.
  dollar = "geo $hostenv_dollar { default \"$\"; }\n";

  # says directive text: whether the text has such a directive.
  says = directive: text: contains " ${lower directive} " (words text);

  # without own headers: the headers ([ { name; value; } ]) that the directives
  # `own` do not set themselves.
  without = own: filter (header: ! says "add_header ${header.name}" own);

  # hide headers: directives that keep back what a server behind nginx sends.
  hide = headers: lines (map (header: "proxy_hide_header ${header.name};\n") headers);

  # add headers: directives that set the headers on every answer (`always`), not
  # on those of some status codes alone.
  add = headers: lines (map (header: "add_header ${header.name} ${quote header.value} always;\n") headers);

  # again own { headers; added; }: what a location with the directives `own` has
  # to repeat of the server that it stands in, for nginx passes add_header, and
  # proxy_hide_header, on only where a block has none itself.
  #
  #   headers  what the server adds and hides
  #   added    what it adds beside
  again = own: { headers, added }:
    let ours = without own headers; in
    (if says "proxy_hide_header" own then hide ours else "")
    + (if says "add_header" own then add (ours ++ without own added) else "");
}
