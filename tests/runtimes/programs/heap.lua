-- Tables and strings that become garbage.
local kept, sum = {}, 0
for i = 1, 3000 do
    kept[i % 500 + 1] = {i, tostring(i)}
end
collectgarbage()
for _, pair in ipairs(kept) do
    sum = sum + pair[1] + #pair[2]
end
print(sum)
