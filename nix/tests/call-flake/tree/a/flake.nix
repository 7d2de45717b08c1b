{
  inputs.b.url = "path:./b";
  inputs.c.url = "path:../c";
  outputs =
    {
      self,
      b,
      c,
    }:
    {
      paths = [
        "${self}"
        b.path
        c.path
      ];
    };
}
