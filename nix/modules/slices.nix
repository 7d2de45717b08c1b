# Limits of environments. The slices are in the plan's nodes.<node>, and so is which
# of them an environment's user manager runs in. Here all else that is done as the
# environment's user is put there too, and it is held that systemd applies the
# limits: one that it cannot read it merely logs, and NixOS takes nearly anything
# for one.
#
# By itself systemd puts a session below user-<UID>.slice, which no limit of the
# project reaches, and leaves what sudo starts with who called it. No setting of
# logind's names another slice. So PAM has the process moved, of sshd and of sudo,
# by which a customer and a deploy come: as root, before anything of the user's
# runs. It is moved after pam_systemd, so that the session has its XDG_RUNTIME_DIR
# and is in logind's list.
{ config, lib, pkgs, ... }:
let
  inherit (lib) concatLists concatStrings filterAttrs hasPrefix mapAttrs mapAttrsToList;
  inherit (config.hostenv) environments;

  show = value: if lib.isString value then "\"${value}\"" else if lib.isInt value then toString value else "a ${builtins.typeOf value}";

  limit = slice: name: pattern: example:
    let
      value = config.systemd.slices.${slice}.sliceConfig.${name} or null;
      text = if lib.isInt value then toString value else value;
      readable = value == null || lib.isString text && builtins.match pattern text != null;
    in
    {
      assertion = readable;
      message = "systemd.slices.${slice}.sliceConfig.${name} is ${show value}, which systemd does not take for a limit such as \"${example}\": correct provider.limits and run `mage plan`, if it stands in generated/plan.json";
    };

  ours = lib.attrNames (filterAttrs (name: _: hasPrefix "user-" name) config.systemd.slices);

  # The slice of each environment's user manager, null where there is none.
  sliceOf = mapAttrs (_: e: (config.systemd.services."user@${toString e.uid}" or { }).serviceConfig.Slice or null) environments;

  enterSlice = pkgs.writeShellScript "hostenv-enter-slice" (import ../lib/fill.nix ./hostenv-enter-slice.sh {
    path = lib.makeBinPath [ pkgs.coreutils config.systemd.package ];
  });

  # A session that cannot be put into its slice is refused.
  pam = service: {
    rules.session.hostenv-slice = {
      order = config.security.pam.services.${service}.rules.session.systemd.order + 10;
      control = "required";
      modulePath = "${config.security.pam.package}/lib/security/pam_exec.so";
      args = [ "quiet" "seteuid" "type=open_session" "${enterSlice}" ];
    };
  };
in
{
  assertions =
    # Without environments the slices are none of the plan's.
    concatLists (map
      (slice: [
        (limit slice "CPUQuota" "[0-9]+(\\.[0-9]+)?%" "200%")
        (limit slice "MemoryMax" "[0-9]+(\\.[0-9]+)?[KMGTPE]?|[0-9]+(\\.[0-9]+)?%|infinity" "12G")
      ])
      (if environments == { } then [ ] else ours))
    ++ mapAttrsToList
      (user: e: {
        assertion = sliceOf.${user} != null;
        message = "systemd.services.\"user@${toString e.uid}\".serviceConfig.Slice is not set, so that nothing limits ${user}: run `mage plan`, for generated/plan.json should have it";
      })
      environments
    ++ [
      {
        assertion = environments == { } || config.services.openssh.settings.UsePAM != false;
        message = "services.openssh.settings.UsePAM is false, so that nothing limits what environments do by ssh: take it away from the configuration of ${config.hostenv.nodeName}";
      }
    ];

  # Who belongs where, a line each, for the program.
  environment.etc."hostenv/slices" = lib.mkIf (environments != { }) {
    text = concatStrings (mapAttrsToList (user: slice: "${user} ${slice}\n") (filterAttrs (_: slice: slice != null) sliceOf));
  };

  security.pam.services = lib.mkIf (environments != { }) (lib.genAttrs [ "sshd" "sudo" ] pam);
}
