{
  inputs.a.url = "git+file://@repos@/circular-a?ref=main";
  inputs.a.inputs.b.follows = "";
  outputs =
    { self, a }:
    {
      bar = 456 + a.xyzzy;
    };
}
