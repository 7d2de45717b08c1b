# Functions on strings that builtins lack. None of these matches a regular
# expression against text of unknown length: Nix's engine recurses once a character
# and overflows the stack on some ten thousand of them.
let
  inherit (builtins) concatStringsSep genList isList match replaceStrings stringLength substring toJSON;
in
rec {
  # quote "it's" is 'it'\''s', one word for any shell.
  quote = text: "'${replaceStrings [ "'" ] [ "'\\''" ] text}'";

  # showPath [ "a" "b.c" "0" ] is a."b.c".0, an attribute path for people.
  showPath = path: concatStringsSep "." (map (name: if match "[A-Za-z0-9_'-]+" name != null then name else toJSON name) path);

  # hasPrefix "ab" "abc" is true.
  hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;

  # hasSuffix "bc" "abc" is true.
  hasSuffix = suffix: text:
    stringLength text >= stringLength suffix
    && substring (stringLength text - stringLength suffix) (stringLength suffix) text == suffix;

  # dropPrefix "ab" "abc" is "c"; the text must have the prefix.
  dropPrefix = prefix: text: substring (stringLength prefix) (-1) text;

  # dropSuffix "bc" "abc" is "a"; the text must have the suffix.
  dropSuffix = suffix: text: substring 0 (stringLength text - stringLength suffix) text;

  # contains "b" "abc" is true; the part must not be empty.
  contains = part: text: replaceStrings [ part ] [ "" ] text != text;

  # splitOn "," "a,,b" is [ "a" "" "b" ]; the separator is taken as a regular
  # expression, the text must be short.
  splitOn = separator: text: builtins.filter (part: ! isList part) (builtins.split separator text);

  # dropUpTo "b" "abc" is "c": the text after the first occurrence, null without one.
  dropUpTo = part: text:
    let
      length = stringLength part;
      starts = genList (i: i) (stringLength text - length + 1);
      found = builtins.filter (i: substring i length text == part) starts;
    in
    if stringLength text < length || found == [ ] then null
    else substring (builtins.head found + length) (-1) text;

  # lower "ÄB" is "Äb": ASCII letters only.
  lower = replaceStrings upperLetters lowerLetters;
  upperLetters = characters "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  lowerLetters = characters "abcdefghijklmnopqrstuvwxyz";
  characters = text: genList (i: substring i 1 text) (stringLength text);
}
