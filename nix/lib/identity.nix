# The identity that an environment claims must be its own: a project writes the names
# of its environments itself, and must not claim those of another project. Most
# often a wrong name is a placeholder of hostenv's template.
let
  inherit (import ./strings.nix) contains dropSuffix hasPrefix hasSuffix lower splitOn;
  names = import ./names.nix;
  fail = import ./fail.nix;

  show = value:
    if value == null then "nothing"
    else if builtins.isString value then "\"${value}\""
    else "a ${builtins.typeOf value}";

  # asHost "Site.Example." is site.example, only for comparison.
  asHost = value:
    if ! builtins.isString value then value
    else if hasSuffix "." value then lower (dropSuffix "." value)
    else lower value;

  # lineOf text attribute: the number of the line that sets the attribute, or null.
  lineOf = text: attribute:
    let
      lines = splitOn "\n" text;
      trim = line: if hasPrefix " " line || hasPrefix "\t" line then trim (builtins.substring 1 (-1) line) else line;
      sets = line: contains " ${attribute} = " " ${trim line}" && ! hasPrefix "#" (trim line);
      found = builtins.filter (i: sets (builtins.elemAt lines i)) (builtins.genList (i: i) (builtins.length lines));
    in
    if found == [ ] then null else builtins.head found + 1;
in
{
  # check: the environments, if each is the project's own.
  #
  #   subject          for errors
  #   organisation, project, hostenvHostname
  #                    those of the input's name and of the provider
  #   file, text       the project's flake.nix: its path in the source, and its text
  check =
    { subject, organisation, project, hostenvHostname, file, text }: environments:
    let
      wanted = { inherit organisation project hostenvHostname; };

      # The attributes of environments.<name>.hostenv that differ, as
      # { attribute; problem; }.
      differences = name: environment:
        let
          found = environment.hostenv or { };
          environmentName = found.environmentName or name;
          userName = names.userName { inherit organisation project; } environmentName;
          hostname = "${userName}.${hostenvHostname}";
          differs = attribute: wanted: [{
            inherit attribute;
            problem = "environments.${builtins.toJSON name}.hostenv.${attribute} is ${show (found.${attribute} or null)} and should be ${wanted}";
          }];
          same = attribute: found.${attribute} or null == wanted.${attribute};
        in
        if ! builtins.isAttrs environment || ! builtins.isAttrs found || found == { } then
          [{ attribute = ""; problem = "environments.${builtins.toJSON name}.hostenv is missing"; }]
        else if ! builtins.isString environmentName then
          differs "environmentName" "the name of the environment"
        else
          (if same "organisation" then [ ] else differs "organisation" (show organisation))
          ++ (if same "project" then [ ] else differs "project" (show project))
          # Some of hostenv's exports lack this one; hostname contains it too.
          ++ (if ! found ? hostenvHostname || asHost found.hostenvHostname == asHost hostenvHostname then [ ]
          else differs "hostenvHostname" (show hostenvHostname))
          ++ (if found.userName or null == userName then [ ] else differs "userName" (show userName))
          ++ (if asHost (found.hostname or null) == asHost hostname then [ ]
          else differs "hostname" (show hostname));

      all = builtins.concatLists
        (map (name: differences name environments.${name}) (builtins.attrNames environments));
      # By attribute, because a mistake in flake.nix affects all environments.
      by = builtins.groupBy (one: one.attribute) all;
      first = attribute:
        let
          found = by.${attribute};
          more = builtins.length found - 1;
        in
        (builtins.head found).problem
        + (if more == 0 then "" else ", and so of ${toString more} more environment${if more == 1 then "" else "s"}");
      order = builtins.filter (attribute: by ? ${attribute})
        ([ "" "environmentName" "organisation" "project" "hostenvHostname" "userName" ]
        # hostname contains these, and is wrong if one of them is.
        ++ (if by ? userName || by ? hostenvHostname then [ ] else [ "hostname" ]));

      # The line to write for each attribute of flake.nix. hostenv makes userName and
      # hostname of them.
      fix = attribute:
        let line = lineOf text attribute; in
        "${attribute} = ${builtins.toJSON wanted.${attribute}};${if line == null then "" else " (line ${toString line})"}";
      fixes = builtins.filter (attribute: by ? ${attribute}) (builtins.attrNames wanted);
    in
    if all == [ ] then environments
    else
      fail {
        inherit subject;
        problem = builtins.concatStringsSep "; " (map first order);
        hint =
          if fixes == [ ]
          then "let hostenv name the environments: remove userName, hostname and environmentName from the project's own modules"
          else "write ${builtins.concatStringsSep " " (map fix fixes)} in the project's ${file}"
            + (if by ? organisation || by ? project then ", or give the input the project's own name, organisation__project" else "");
      };
}
