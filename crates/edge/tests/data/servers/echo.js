// Tells what it saw of each request: node echo.js PORT
let count = 0;
const server = require("http").createServer((request, response) => {
  const pieces = [];
  request.on("error", () => {});
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => {
    const body = Buffer.concat(pieces).toString("hex");
    const answer = `${++count} ${request.method} ${request.url} ${request.headers.host ?? ""} ${body}\n`;
    response.setHeader("Content-Length", Buffer.byteLength(answer));
    response.end(answer);
  });
});
server.listen(Number(process.argv[2]), "127.0.0.1");
