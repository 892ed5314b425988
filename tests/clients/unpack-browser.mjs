// Unpacks the browser inside an npm package, with libraries and fonts of its own, into $TMPDIR.
import { fileURLToPath } from "node:url";
import { inflate } from "@sparticuz/chromium";

const packed = fileURLToPath(new URL("../bin/", import.meta.resolve("@sparticuz/chromium")));
for (const name of ["chromium.br", "fonts.tar.br", "swiftshader.tar.br", "al2023.tar.br"]) {
  await inflate(packed + name);
}
