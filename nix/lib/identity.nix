# Who an environment says it is, held against who it is: a project that exports
# its environments itself, or overrides what is forced upon it, must not pass
# for another's.
let
  inherit (import ./strings.nix) dropSuffix hasSuffix lower;
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
in
{
  # check: the environments, if each is the project's own.
  #
  #   subject          for errors
  #   organisation, project, hostenvHostname
  #                    what the input's name and the provider say
  #   isEvaluated      whether the provider's hostenv made the environments
  check =
    { subject, organisation, project, hostenvHostname, isEvaluated }: environments:
    let
      # Each attribute of environments.<name>.hostenv that disagrees, as text.
      disagreements = name: environment:
        let
          found = environment.hostenv or { };
          userName = found.userName or null;
          environmentName = found.environmentName or name;
          suffix =
            if builtins.isString environmentName
            then "-" + names.hashSuffix { inherit organisation project; } environmentName
            else "";
          hostname =
            if builtins.isString userName then "${userName}.${hostenvHostname}"
            else "<userName>.${hostenvHostname}";
          disagree = attribute: wanted:
            "environments.${builtins.toJSON name}.hostenv.${attribute} is ${show (found.${attribute} or null)} and should be ${wanted}";
        in
        if ! builtins.isAttrs environment || ! builtins.isAttrs found || found == { } then
          [ "environments.${builtins.toJSON name}.hostenv is missing" ]
        else
          (if found.organisation or null == organisation then [ ]
          else [ (disagree "organisation" (show organisation)) ])
          ++ (if found.project or null == project then [ ]
          else [ (disagree "project" (show project)) ])
          # Some of hostenv's exports leave this one out; hostname says it, too.
          ++ (if ! found ? hostenvHostname || asHost found.hostenvHostname == asHost hostenvHostname then [ ]
          else [ (disagree "hostenvHostname" (show hostenvHostname)) ])
          ++ (if builtins.isString userName && hasSuffix suffix userName then [ ]
          else [ (disagree "userName" "a name that ends in ${suffix}") ])
          ++ (if asHost (found.hostname or null) == asHost hostname then [ ]
          else [ (disagree "hostname" (show hostname)) ]);

      all = builtins.concatLists
        (map (name: disagreements name environments.${name}) (builtins.attrNames environments));
    in
    if all == [ ] then environments
    else
      fail {
        inherit subject;
        problem = builtins.concatStringsSep "; " all;
        hint =
          if isEvaluated
          then "the provider sets these: remove them from the project's hostenv.nix"
          else "write organisation = \"${organisation}\", project = \"${project}\" and hostenvHostname = \"${hostenvHostname}\" in the project's flake.nix, or give the input the project's own name, organisation__project";
      };
}
