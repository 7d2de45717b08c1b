# Who an environment says it is, held against who it is: a project says itself
# what its environments are called, and must not pass for another's. What differs
# is most often a placeholder of hostenv's template.
let
  inherit (import ./strings.nix) dropSuffix hasPrefix hasSuffix lower splitOn;
  names = import ./names.nix;
  fail = import ./fail.nix;

  show = value:
    if value == null then "nothing"
    else if builtins.isString value then "\"${value}\""
    else "a ${builtins.typeOf value}";

  # asHost "Site.Example." is site.example, for comparison alone.
  asHost = value:
    if ! builtins.isString value then value
    else if hasSuffix "." value then lower (dropSuffix "." value)
    else lower value;

  # lineOf text attribute: the number of the line that sets it to a string, null
  # where none does.
  lineOf = text: attribute:
    let
      lines = splitOn "\n" text;
      trim = line: if hasPrefix " " line || hasPrefix "\t" line then trim (builtins.substring 1 (-1) line) else line;
      sets = line: hasPrefix "${attribute} = " (trim line);
      found = builtins.filter (i: sets (builtins.elemAt lines i)) (builtins.genList (i: i) (builtins.length lines));
    in
    if found == [ ] then null else builtins.head found + 1;
in
{
  # check: the environments, if each is the project's own.
  #
  #   subject          for errors
  #   organisation, project, hostenvHostname
  #                    what the input's name and the provider say
  #   file, text       the project's flake.nix: its path in the source, and what
  #                    it holds
  check =
    { subject, organisation, project, hostenvHostname, file, text }: environments:
    let
      wanted = { inherit organisation project hostenvHostname; };

      # Each attribute of environments.<name>.hostenv that disagrees, as
      # { attribute; problem; }.
      disagreements = name: environment:
        let
          found = environment.hostenv or { };
          environmentName = found.environmentName or name;
          userName = names.userName { inherit organisation project; } environmentName;
          suffix = "-" + names.hashSuffix { inherit organisation project; } environmentName;
          isUserName = value: builtins.isString value && (if userName == null then hasSuffix suffix value else value == userName);
          hostname =
            if builtins.isString (found.userName or null) then "${found.userName}.${hostenvHostname}"
            else "<userName>.${hostenvHostname}";
          disagree = attribute: wanted: [{
            inherit attribute;
            problem = "environments.${builtins.toJSON name}.hostenv.${attribute} is ${show (found.${attribute} or null)} and should be ${wanted}";
          }];
          agree = attribute: found.${attribute} or null == wanted.${attribute};
        in
        if ! builtins.isAttrs environment || ! builtins.isAttrs found || found == { } then
          [{ attribute = null; problem = "environments.${builtins.toJSON name}.hostenv is missing"; }]
        else if ! builtins.isString environmentName then
          disagree "environmentName" "the name of the environment"
        else
          (if agree "organisation" then [ ] else disagree "organisation" (show organisation))
          ++ (if agree "project" then [ ] else disagree "project" (show project))
          # Some of hostenv's exports leave this one out; hostname says it, too.
          ++ (if ! found ? hostenvHostname || asHost found.hostenvHostname == asHost hostenvHostname then [ ]
          else disagree "hostenvHostname" (show hostenvHostname))
          ++ (if isUserName (found.userName or null) then [ ]
          else disagree "userName" (if userName == null then "a name that ends in ${suffix}" else show userName))
          ++ (if asHost (found.hostname or null) == asHost hostname then [ ]
          else disagree "hostname" (show hostname));

      all = builtins.concatLists
        (map (name: disagreements name environments.${name}) (builtins.attrNames environments));
      of = attribute: builtins.any (one: one.attribute == attribute) all;

      # What to write where, for those that a flake.nix says. userName and
      # hostname are made of them.
      mend = attribute:
        let line = lineOf text attribute; in
        "${attribute} = ${builtins.toJSON wanted.${attribute}}; in ${if line == null then "" else "line ${toString line} of "}the project's ${file}";
      mended = builtins.filter of [ "organisation" "project" "hostenvHostname" ];
    in
    if all == [ ] then environments
    else
      fail {
        inherit subject;
        problem = builtins.concatStringsSep "; " (map (one: one.problem) all);
        hint =
          if mended == [ ]
          then "let hostenv name the environments: remove userName, hostname and environmentName from the project's own modules"
          else "write ${builtins.concatStringsSep ", " (map mend mended)}"
            + (if of "organisation" || of "project" then ", or give the input the project's own name, organisation__project" else "");
      };
}
