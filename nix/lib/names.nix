# Names: which inputs are projects, of which organisation, and the user names that
# hostenv makes of them.
let
  inherit (import ./strings.nix) contains dropPrefix dropSuffix hasPrefix hasSuffix lower splitOn;
  fail = import ./fail.nix;

  # isProject "acme__site" is true: an input is a project if its name holds "__".
  isProject = contains "__";

  # sanitise "Acme-Inc." is "acmeinc": what hostenv leaves of a name of an
  # organisation or project, lower-case ASCII letters and digits.
  sanitise = name: builtins.concatStringsSep "" (splitOn "[^a-z0-9]" (lower name));

  # parse "Acme__My-Site" is { organisation = "acme"; project = "mysite"; }.
  # Empty parts are ignored: acme___site and acme__site are one project, which the
  # plan refuses.
  parse = input:
    let
      parts = builtins.filter (part: part != "") (splitOn "__" input);
      named = map sanitise parts;
      refuse = problem: fail {
        subject = "project ${input}";
        inherit problem;
        hint = "name the input organisation__project, as in inputs.acme__site, or list it in provider.notProjects if it is no project";
      };
    in
    if builtins.length parts != 2 then
      refuse "the input's name has ${toString (builtins.length parts)} parts between double underscores, not 2"
    else if builtins.elem "" named then
      refuse "a part of the input's name has neither letters nor digits"
    else {
      organisation = builtins.elemAt named 0;
      project = builtins.elemAt named 1;
    };

  # hashSuffix: the end of a user name that hostenv makes, seven digits of a
  # hash of organisation, project and environment. The final newline is
  # hostenv's, and existing user names depend on it.
  hashSuffix = { organisation, project }: environment:
    builtins.substring 0 7
      (builtins.hashString "sha256" "${organisation}-${project}-${environment}\n");

  # slug "feature/main/add-exciting-feature" is "add": hostenv's short form of a
  # name, as many words of its last part as fit into eleven characters, or the
  # first eleven characters of a word that is longer.
  slug = name:
    let
      parts = splitOn "/" name;
      last = builtins.elemAt parts (builtins.length parts - 1);
      dashed = builtins.concatStringsSep "-" (splitOn "[^A-Za-z0-9-]" last);
      # Not all of "----": hostenv looks at each hyphen once.
      halved = builtins.replaceStrings [ "--" ] [ "-" ] dashed;
      left = if hasPrefix "-" halved then dropPrefix "-" halved else halved;
      whole = if hasSuffix "-" left then dropSuffix "-" left else left;
      words = splitOn "-" whole;
      take = taken: word:
        let more = "${taken.text}-${word}"; in
        if taken.full || builtins.stringLength more > 11 then taken // { full = true; } else { full = false; text = more; };
      first = builtins.head words;
    in
    lower (
      if builtins.stringLength first > 11 then builtins.substring 0 11 whole
      else (builtins.foldl' take { full = false; text = first; } (builtins.tail words)).text
    );

  # userName { organisation = "acme"; project = "site"; } "main" is
  # "site-main-b7ea262": the user of an environment, as hostenv names it.
  userName = { organisation, project }: environment:
    "${slug project}-${slug environment}-${hashSuffix { inherit organisation project; } environment}";
in
{
  inherit isProject sanitise parse userName;

  # projects inputs notProjects: the names of those inputs that are projects,
  # sorted, without those in notProjects.
  projects = inputs: notProjects:
    let unknown = builtins.filter (name: ! inputs ? ${name}) notProjects; in
    if unknown == [ ] then
      builtins.filter (name: isProject name && ! builtins.elem name notProjects) (builtins.attrNames inputs)
    else
      fail {
        subject = "provider";
        problem = "notProjects names ${builtins.concatStringsSep ", " unknown}, and the flake has no such input";
        hint = "remove ${if builtins.length unknown == 1 then "it" else "them"} from provider.notProjects, or write the input's name as in flake.nix";
      };
}
