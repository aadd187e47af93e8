-- For wrk with one thread: sends the requests of a file (args[1], a zero byte between them) one after the other, and
-- begins again when they are spent. At the end one line of JSON: what `load.py` reads.

local requests, position = {}, -1
local thread_of_load
issued = -1 -- wrk asks for one request more, to look at it

function setup(thread)
   thread_of_load = thread
end

function init(args)
   local file = assert(io.open(args[1], "rb"))
   for request in file:read("*a"):gmatch("[^%z]+") do
      requests[#requests + 1] = request
   end
   file:close()
end

function request()
   issued = issued + 1
   position = position + 1
   return requests[math.max(position - 1, 0) % #requests + 1]
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      '\n{"requests": %d, "issued": %d, "seconds": %.6f, "bytes": %d, "p50_ms": %.4f, "p99_ms": %.4f, "refused": %d, '
         .. '"broken": %d, "timeouts": %d}\n',
      summary.requests, thread_of_load:get("issued"), summary.duration / 1e6, summary.bytes,
      latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, errors.status,
      errors.connect + errors.read + errors.write, errors.timeout
   ))
end
