# The names of the keys in a sops file. sops encrypts values and not keys, so the
# evaluation can read the keys without decrypting.
#
# read name text: the keys of the first two levels, joined by a slash as for
# sops-nix: [ "acme" "acme/backups_env" ].
#
#   name  of the file, for errors
#   text  of the file
#
# It reads YAML in block style, which sops always writes, and refuses all other YAML:
# a key that it misses, or one that is a part of a text, would be worse. It reads
# only the first character of a value, and no error shows a value.
let
  inherit (builtins) elemAt filter foldl' genList head isList length match seq split stringLength substring;
  fail = import ./fail.nix;

  splitLines = text: filter (part: ! isList part) (split "\n" (builtins.replaceStrings [ "\r" ] [ "" ] text));

  # parse line: its indentation, and { key; value; } of a line that has a key.
  # Long lines are cut, because Nix's regular expressions recurse once a character; a
  # longer key is refused.
  parse = line:
    let
      start = substring 0 400 line;
      parts = match "( *)([^ ].*)?" start;
      content = elemAt parts 1;
      plain = match "([A-Za-z0-9_.@/+-]+) *:( .*)?" content;
      quoted = match "(\"([^\"\\]*)\"|'([^']*)') *:( .*)?" content;
      first = if content == null then "" else substring 0 1 content;
    in
    {
      indent = stringLength (head parts);
      empty = content == null || first == "#";
      tab = match " *\t.*" start != null;
      item = content == "-" || substring 0 2 content == "- ";
      marker = head parts == "" && (match "(---|\\.\\.\\.|%)( .*)?" content != null);
      key =
        if plain != null then elemAt plain 0
        else if quoted == null then null
        else if elemAt quoted 1 != null then elemAt quoted 1
        else elemAt quoted 2;
      value = trimmed (
        if plain != null then elemAt plain 1
        else if quoted != null then elemAt quoted 3
        else null
      );
    };

  # trimmed " a  # b" is "a  # b", null is "".
  trimmed = text: if text == null then "" else elemAt (match " *(.*)" text) 0;

  # The kind of the value after a key's colon: "nested" (a mapping or no value),
  # "block" (a text over several lines), "scalar", or "strange".
  kindOf = value:
    let first = substring 0 1 value; in
    if value == "" || first == "#" then "nested"
    else if first == "|" || first == ">" then "block"
    else if match "(\\{ *}|\\[ *]) *(#.*)?" value != null then "scalar"
    else if builtins.elem first [ "{" "[" "&" "*" "!" "%" "@" "`" ] then "strange"
    else "scalar";

  read = name: text:
    let
      refuse = number: problem: fail {
        subject = name;
        problem = "line ${toString number} ${problem}, so Nix cannot read the names of its keys";
        hint = "let sops write the file (`sops ${name}`), or list its keys in hostenv.secrets.keys";
      };

      lines = splitLines text;

      # The state between two lines:
      #   keys    those found
      #   top     the key of the first level that we are in, null before the first
      #   open    whether keys of the second level may follow
      #   indent  of the second level, null before its first key
      #   block   the indentation of the key whose text over several lines we are in
      step = state: number:
        let
          line = parse (elemAt lines (number - 1));
          kind = kindOf line.value;
          inBlock = state.block != null && line.indent > state.block;
          block = if kind == "block" then line.indent else null;
          next = keys: update: seq (length keys) (seq block (state // { inherit keys block; } // update));
        in
        if line.empty || inBlock then state
        else if line.tab then refuse number "is indented by a tab"
        else if line.marker then
          if state.top == null then state else refuse number "begins another document"
        else if line.indent == 0 then
          if line.item && state.top != null then state // { open = false; block = null; }
          else if line.key == null then refuse number "is no key"
          else if kind == "strange" then refuse number "has a value in a style that sops does not write"
          else next (state.keys ++ [ line.key ]) { top = line.key; open = kind == "nested"; indent = null; }
        else if state.top == null then refuse number "is indented, and no key precedes it"
        else if ! state.open then state
        else if state.indent != null && line.indent > state.indent then
          # The third level: skip a text there, whose lines may look like keys.
          state // { block = if line.key != null && kind == "block" then line.indent else null; }
        else if state.indent != null && line.indent < state.indent then refuse number "is indented less than the one before it"
        else if line.item then state // { indent = line.indent; block = null; }
        else if line.key == null then refuse number "is no key"
        else if kind == "strange" then refuse number "has a value in a style that sops does not write"
        else next (state.keys ++ [ "${state.top}/${line.key}" ]) { inherit (line) indent; };

      found = (foldl' step
        { keys = [ ]; top = null; open = false; indent = null; block = null; }
        (genList (i: i + 1) (length lines))).keys;
    in
    if builtins.elem "sops" found then filter (key: key != "sops" && substring 0 5 key != "sops/") found
    else
      fail {
        subject = name;
        problem = "is not encrypted by sops: it has no key `sops`";
        hint = "encrypt it (`sops --encrypt --in-place ${name}`), and replace its secrets if it was ever committed: every user can read the store";
      };
in
read
