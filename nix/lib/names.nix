# Names: which inputs are projects, whose, and what hostenv makes of them.
let
  inherit (import ./strings.nix) contains lower splitOn;
  fail = import ./fail.nix;

  # isProject "acme__site" is true: an input is a project if its name holds "__".
  isProject = contains "__";

  # sanitise "Acme-Inc." is "acmeinc": what hostenv leaves of a name of an
  # organisation or project, lower-case ASCII letters and digits.
  sanitise = name: builtins.concatStringsSep "" (splitOn "[^a-z0-9]" (lower name));

  # parse "Acme__My-Site" is { organisation = "acme"; project = "mysite"; }.
  # Empty parts count for nothing, so that acme___site and acme__site are alike:
  # which two inputs then are the same project is for the plan to find out.
  parse = input:
    let
      parts = builtins.filter (part: part != "") (splitOn "__" input);
      named = map sanitise parts;
      refuse = problem: fail {
        subject = "project ${input}";
        inherit problem;
        hint = "name the input organisation__project, as in inputs.acme__site";
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
in
{
  inherit isProject sanitise parse hashSuffix;

  # projects inputs: the names of those inputs that are projects, sorted.
  projects = inputs: builtins.filter isProject (builtins.attrNames inputs);
}
