-- Has wrk send requests that were signed beforehand, each one once: length, line end, bytes, and so on in the file named
-- first. The second argument is the mean of each connection's pauses in milliseconds, exponential; 0 means full load.

local requests, sent, pause, threads = {}, 0, 0, {}

function setup(thread)
    table.insert(threads, thread)
end

function init(arguments)
    local file = assert(io.open(arguments[1], "rb"))
    local length = file:read("*n")
    while length do
        file:read(1)
        requests[#requests + 1] = file:read(length)
        length = file:read("*n")
    end
    file:close()
    pause = tonumber(arguments[2])
    if pause == 0 then
        delay = nil
    end
    total, taken = #requests, 0
end

function request()
    sent = sent + 1
    taken = sent
    return requests[(sent - 1) % #requests + 1]
end

function delay()
    return math.floor(-pause * math.log(1 - math.random()) + 0.5)
end

function done(summary, latency)
    local again = 0
    for _, thread in ipairs(threads) do
        again = again + math.max(0, thread:get("taken") - thread:get("total"))
    end
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    print(string.format("result %d %d %d %d %d %d", summary.requests, summary.duration, latency:percentile(50),
        latency:percentile(99), failed, again))
end
