-- Lua 5.4 and LuaJIT: no handler of their own. Garbage, weak tables, coroutines, and the probe in between.
local path = os.getenv("PROBE")
local touch = path and assert(package.loadlib(path, "probe_touch")) or function() end
local weak = setmetatable({}, {__mode = "k"})
local sum = 0
for round = 1, 20 do
    local keep = {}
    for i = 1, 5000 do
        local object = {i}
        weak[object] = i
        if i % 100 == 0 then keep[#keep + 1] = object end
    end
    collectgarbage()
    for _, object in ipairs(keep) do sum = sum + weak[object] end
    local walk = coroutine.wrap(function() touch() coroutine.yield(round) end)
    sum = sum + walk()
end
print(("sum %d"):format(sum))
