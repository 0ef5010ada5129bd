-- workload.lua: a bit of everything that Lua programs do. It is given one number, how much to do. What it prints depends
-- on that number alone: not on addresses, hash seeds, time, or when garbage is collected.

local scale = ... or 1

local function section(name)
    print("== " .. name)
end

-- Park and Miller's generator: the same numbers everywhere.
local seed = 20240229
local function random(limit)
    seed = seed * 48271 % 2147483647
    return seed % limit + 1
end

local function sorted_keys(t)
    local keys = {}
    for key in pairs(t) do
        keys[#keys + 1] = key
    end
    table.sort(keys)
    return keys
end

-- Adler's checksum, so that long results can be shown in short.
local function checksum(text)
    local a, b = 1, 0
    for i = 1, #text do
        a = (a + text:byte(i)) % 65521
        b = (b + a) % 65521
    end
    return string.format("%08x", b << 16 | a)
end

-- Strings

local syllables = { "ka", "lo", "mi", "ren", "tu", "sha", "vo", "pel", "dri", "an" }

local function word()
    local parts = {}
    for i = 1, random(3) + 1 do
        parts[i] = syllables[random(#syllables)]
    end
    return table.concat(parts)
end

local function strings()
    section("strings")
    local words = {}
    for i = 1, 20 * scale do
        words[i] = word()
    end
    local text = table.concat(words, " ")
    local counts = {}
    for w in text:gmatch("%a+") do
        counts[w] = (counts[w] or 0) + 1
    end
    local best, most = nil, 0
    for _, w in ipairs(sorted_keys(counts)) do
        if counts[w] > most then
            best, most = w, counts[w]
        end
    end
    print(#words, #text, best, most, checksum(text))
    print((text:sub(1, 40):gsub("(%a)(%a*)", function(first, rest)
        return first:upper() .. rest
    end)))
    print(text:sub(1, 24):reverse(), ("ab"):rep(5, "-"), ("x"):rep(300):len())
    print(("$name has $count items"):gsub("%$(%w+)", { name = "basket", count = 7 }))
    print(string.format("%5d|%-8s|%08.3f|%x|%q|%g|%c", 42, "left", math.pi, 48879, 'a "quoted"\nline', 1e20, 65))
    print(("key = value # comment"):match("^(%w+)%s*=%s*(%w+)"), ("f(a(b)c)d"):match("%b()"))
    print(("THE (quick) fox"):find("%((%a+)%)"), ("a,b,,c"):gsub(",", ";"))
    print(string.pack("<i4", 77):byte(1, -1))
    local line = ""
    for i = 1, 10 * scale do
        line = line .. i % 10
    end
    print(#line, checksum(line), utf8.char(72, 228, 8364), utf8.len("Hä€"))
end

-- Sorting

local function merge_sort(list, less)
    if #list < 2 then
        return list
    end
    local middle, left, right = #list // 2, {}, {}
    table.move(list, 1, middle, 1, left)
    table.move(list, middle + 1, #list, 1, right)
    left, right = merge_sort(left, less), merge_sort(right, less)
    local result, i, j = {}, 1, 1
    for k = 1, #list do
        if j > #right or (i <= #left and not less(right[j], left[i])) then
            result[k], i = left[i], i + 1
        else
            result[k], j = right[j], j + 1
        end
    end
    return result
end

local function sorting()
    section("sorting")
    local numbers, records = {}, {}
    for i = 1, 24 * scale do
        numbers[i] = random(1000)
        records[i] = { name = word(), age = random(90), serial = i }
    end
    local merged = merge_sort(numbers, function(a, b) return a < b end)
    table.sort(numbers)
    for i = 1, #numbers do
        assert(numbers[i] == merged[i])
    end
    table.sort(records, function(a, b)
        if a.age ~= b.age then
            return a.age > b.age
        end
        return a.serial < b.serial
    end)
    local line = {}
    for i = 1, 6 do
        line[i] = records[i].name .. ":" .. records[i].age
    end
    print(table.concat(line, " "), checksum(table.concat(numbers, ",")))
    print(select("#", table.unpack(numbers, 1, 10)), table.concat(numbers, " ", 1, 10))
end

-- Closures

local function closures()
    section("closures")
    local function counter()
        local n = 0
        return function() n = n + 1 return n end, function() return n end
    end
    local step, read = counter()
    for _ = 1, 8 * scale do
        step()
    end
    print(read())
    local function compose(f, ...)
        if not f then
            return function(...) return ... end
        end
        local rest = compose(...)
        return function(...) return f(rest(...)) end
    end
    local chain = compose(function(x) return x + 1 end, function(x) return x * 2 end, math.abs)
    print(chain(-20), chain(3))
    local memo = setmetatable({}, { __mode = "k" })
    local function memoize(f)
        memo[f] = memo[f] or {}
        return function(n)
            local known = memo[f]
            if known[n] == nil then
                known[n] = f(n)
            end
            return known[n]
        end
    end
    local fib
    fib = memoize(function(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end)
    print(fib(40), fib(60))
    local ok, message = pcall(error, { code = 7 })
    print(ok, message.code, pcall(function() local t = nil; return t.x end))
    print(select(2, xpcall(function() error("deep", 0) end, function(m) return "caught " .. m end)))
end

-- Coroutines

local function permutations(list, n)
    n = n or #list
    if n <= 1 then
        coroutine.yield(list)
    else
        for i = 1, n do
            list[n], list[i] = list[i], list[n]
            permutations(list, n - 1)
            list[n], list[i] = list[i], list[n]
        end
    end
end

local function coroutines()
    section("coroutines")
    local count, sum = 0, 0
    for p in coroutine.wrap(function() permutations({ 1, 2, 3, 4 }) end) do
        count = count + 1
        sum = sum + p[1] * p[4]
    end
    print(count, sum)
    local ready, log = {}, {}
    for id = 1, 4 do
        ready[id] = coroutine.create(function()
            for round = 1, id * scale do
                log[#log + 1] = id * round
                coroutine.yield()
            end
            return "task " .. id
        end)
    end
    local finished = {}
    while #ready > 0 do
        local task = table.remove(ready, 1)
        local ok, result = coroutine.resume(task)
        assert(ok)
        if coroutine.status(task) == "dead" then
            finished[#finished + 1] = result
        else
            ready[#ready + 1] = task
        end
    end
    print(table.concat(finished, ", "), checksum(table.concat(log, " ")))
    print(coroutine.resume(coroutine.create(function() error("inside", 0) end)))
end

-- JSON

local json = {}
local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\t"] = "\\t" }

function json.encode(value)
    local kind = type(value)
    if kind == "string" then
        return '"' .. value:gsub('[%c"\\]', function(c)
            return escapes[c] or ("\\u%04x"):format(c:byte())
        end) .. '"'
    elseif kind == "table" then
        local parts = {}
        if #value > 0 or next(value) == nil then
            for i, item in ipairs(value) do
                parts[i] = json.encode(item)
            end
            return "[" .. table.concat(parts, ",") .. "]"
        end
        for _, key in ipairs(sorted_keys(value)) do
            parts[#parts + 1] = json.encode(key) .. ":" .. json.encode(value[key])
        end
        return "{" .. table.concat(parts, ",") .. "}"
    end
    return kind == "number" and ("%.14g"):format(value) or tostring(value)
end

local function decode_string(text, at)
    local parts = {}
    while true do
        local plain, stop, next_at = text:match('^([^"\\]*)(["\\])()', at)
        parts[#parts + 1] = plain
        if stop == '"' then
            return table.concat(parts), next_at
        end
        local escape = text:sub(next_at, next_at)
        if escape == "u" then
            parts[#parts + 1] = utf8.char(tonumber(text:sub(next_at + 1, next_at + 4), 16))
            at = next_at + 5
        else
            parts[#parts + 1] = ({ n = "\n", t = "\t" })[escape] or escape
            at = next_at + 1
        end
    end
end

local constants = { ["true"] = true, ["false"] = false, ["null"] = json }

function json.decode(text, at)
    at = text:match("^%s*()", at or 1)
    local first = text:sub(at, at)
    if first == '"' then
        return decode_string(text, at + 1)
    elseif first == "[" or first == "{" then
        local result, close = {}, first == "[" and "]" or "}"
        at = text:match("^%s*()", at + 1)
        while text:sub(at, at) ~= close do
            local key, value = #result + 1, nil
            if first == "{" then
                key, at = decode_string(text, at + 1)
                at = text:match("^%s*:()", at)
            end
            value, at = json.decode(text, at)
            result[key] = value
            at = text:match("^%s*,?%s*()", at)
        end
        return result, at + 1
    end
    local name, after = text:match("^(%a+)()", at)
    if name then
        return constants[name], after
    end
    local number, number_after = text:match("^([-+.%deE]+)()", at)
    return math.tointeger(tonumber(number)) or tonumber(number), number_after
end

local function round_trip()
    section("json")
    local people = {}
    for i = 1, 3 * scale do
        people[i] = {
            name = word() .. (i % 3 == 0 and ' "' .. word() .. '"\n' or ""),
            scores = { random(100), random(100) / 8, -random(10) },
            active = i % 2 == 0,
            address = { street = word(), number = random(200), tags = {} },
        }
    end
    local text = json.encode(people)
    local again = json.encode(json.decode(text))
    print(#text, checksum(text), text == again)
    print(text:sub(1, 120))
    print(json.encode(json.decode(' { "a" : [ 1 , 2.5, -3e2, true, "\\u00e4\\n" ] , "b" : { } } ')))
end

-- Weak tables and finalizers

local function weakness()
    section("weak tables")
    local values, keys, kept, closed = setmetatable({}, { __mode = "v" }), setmetatable({}, { __mode = "k" }), {}, 0
    for i = 1, 12 * scale do
        local object = setmetatable({ i }, { __gc = function() closed = closed + 1 end })
        values[i] = object
        keys[object] = { object }
        if i % 4 == 0 then
            kept[#kept + 1] = object
        end
    end
    collectgarbage()
    collectgarbage()
    local alive, ephemerons = 0, 0
    for i = 1, 12 * scale do
        alive = alive + (values[i] and 1 or 0)
    end
    for _ in pairs(keys) do
        ephemerons = ephemerons + 1
    end
    print(alive, ephemerons, #kept, closed)
end

-- Metatables

local Vector = {}
Vector.__index = Vector
local function vector(x, y)
    return setmetatable({ x = x, y = y }, Vector)
end
Vector.__add = function(a, b) return vector(a.x + b.x, a.y + b.y) end
Vector.__mul = function(a, k) return vector(a.x * k, a.y * k) end
Vector.__eq = function(a, b) return a.x == b.x and a.y == b.y end
Vector.__lt = function(a, b) return a:length() < b:length() end
Vector.__len = function() return 2 end
Vector.__call = function(v, name) return v[name] end
Vector.__tostring = function(v) return string.format("(%g, %g)", v.x, v.y) end
Vector.__concat = function(a, b) return tostring(a) .. tostring(b) end
Vector.__close = function(v) io.write("closing ", tostring(v), "\n") end
function Vector:length() return (self.x ^ 2 + self.y ^ 2) ^ 0.5 end

local function metatables()
    section("metatables")
    local position, velocity = vector(0, 0), vector(0.5, -0.25)
    for _ = 1, 8 * scale do
        position = position + velocity * 2
    end
    print(tostring(position), position == vector(8 * scale, -4 * scale), velocity < position, #position)
    print(velocity .. position, velocity "x", position:length())
    do
        local guard <close> = vector(1, 2)
        print("inside", guard.y)
    end
    local Animal = { sound = "..." }
    Animal.__index = Animal
    local Dog = setmetatable({ sound = "woof" }, { __index = Animal })
    Dog.__index = Dog
    function Animal:speak() return self.name .. " says " .. self.sound end
    print(setmetatable({ name = "Rex" }, Dog):speak(), rawget(Dog, "speak"))
    local log = {}
    local proxy = setmetatable({}, {
        __index = function(_, key) return key .. "?" end,
        __newindex = function(t, key, value) log[#log + 1] = key rawset(t, key, value) end,
    })
    proxy.a, proxy.b, proxy.a = 1, 2, 3
    print(proxy.a, proxy.b, proxy.missing, table.concat(log, ","))
end

-- Numbers

local function numbers()
    section("numbers")
    local composite, primes = {}, {}
    for n = 2, 40 * scale do
        if not composite[n] then
            primes[#primes + 1] = n
            for multiple = n * n, 40 * scale, n do
                composite[multiple] = true
            end
        end
    end
    print(#primes, primes[#primes], checksum(table.concat(primes, " ")))
    local size, product = 3 + scale, {}
    for i = 1, size do
        product[i] = {}
        for j = 1, size do
            local sum = 0.0
            for k = 1, size do
                sum = sum + (i + k) / (k + j)
            end
            product[i][j] = sum
        end
    end
    print(string.format("%.10f %.10f", product[1][size], product[size][1]))
    local queens, columns, up, down = 0, {}, {}, {}
    local function place(row, n)
        if row > n then
            queens = queens + 1
            return
        end
        for c = 1, n do
            if not (columns[c] or up[row + c] or down[row - c + n]) then
                columns[c], up[row + c], down[row - c + n] = true, true, true
                place(row + 1, n)
                columns[c], up[row + c], down[row - c + n] = nil, nil, nil
            end
        end
    end
    place(1, 5)
    print(queens, 7 // 2, -7 // 2, -7 % 3, 7.5 // 2, 1 << 40, 0xff ~ 0x0f, math.maxinteger + 1 == math.mininteger)
    print(math.type(3), math.type(3.0), 10 / 2, 2 ^ 53, "10" + 5, math.tointeger("8"), math.ult(1, -1))
end

strings()
sorting()
closures()
coroutines()
round_trip()
weakness()
metatables()
numbers()
section("end")
