-- pow10.lua FIRST LAST: the rows of core/base/text_pow10.c: for each k from FIRST to LAST the first 128 bits of 10^k, cut off, as
-- {high, low}. Exact: big integers of 24-bit limbs, least significant first.
--
-- Powers up come by multiplying; powers down from 2^BITS by dividing, since floor(floor(x / 10) / 10) = floor(x / 100).

local first, last = assert(tonumber(arg[1])), assert(tonumber(arg[2]))
local LIMB, BASE = 24, 1 << 24
local BITS = 24 * 60 -- 2^BITS / 10^-FIRST must keep well over 128 bits
assert(BITS + math.floor(first * 3.3220) > 160, "FIRST is too small for BITS")

local function multiply(n, factor)
  local carry = 0
  for i = 1, #n do
    local v = n[i] * factor + carry
    n[i], carry = v % BASE, v // BASE
  end
  if carry > 0 then n[#n + 1] = carry end
end

local function divide(n, divisor)
  local rest = 0
  for i = #n, 1, -1 do
    local v = rest * BASE + n[i]
    n[i], rest = v // divisor, v % divisor
  end
  while n[#n] == 0 do n[#n] = nil end
end

local function bit_at(n, position)
  local limb = n[position // LIMB + 1] or 0
  return (limb >> (position % LIMB)) & 1
end

-- The highest 128 bits, zeros below when there are fewer.
local function top_bits(n)
  local top = (#n - 1) * LIMB
  for b = LIMB - 1, 0, -1 do
    if (n[#n] >> b) & 1 == 1 then
      top = top + b
      break
    end
  end
  local words = { 0, 0 }
  for i = 0, 127 do
    local bit = top - i >= 0 and bit_at(n, top - i) or 0
    local w = i // 64 + 1
    words[w] = (words[w] << 1) | bit
  end
  return words
end

local rows = {}
local up = { 1 }
for k = 0, last do
  rows[k] = top_bits(up)
  multiply(up, 10)
end
local down = {}
for i = 1, BITS // LIMB do down[i] = 0 end
down[#down + 1] = 1
for k = -1, first, -1 do
  divide(down, 10)
  rows[k] = top_bits(down)
end
for k = first, last do
  print(("  {0x%016xu, 0x%016xu},"):format(rows[k][1], rows[k][2]))
end
