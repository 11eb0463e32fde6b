-- One line of JSON about a finished run.
function done(summary)
  local e = summary.errors
  io.write(string.format('\n{"requests":%d,"status":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d}\n',
    summary.requests, e.status, e.connect, e.read, e.write, e.timeout))
end
