-- The rule of simulation.c: where one entity goes in dt seconds. It bounces off the walls of its field, and what is too fast loses speed.

local SIZE, FAST, DRAG = 100, 80, 0.5

return function(x, y, vx, vy, dt)
  if (x > SIZE and vx > 0) or (x < -SIZE and vx < 0) then vx = -vx end
  if (y > SIZE and vy > 0) or (y < -SIZE and vy < 0) then vy = -vy end
  if vx * vx + vy * vy > FAST * FAST then
    local rest = 1 - DRAG * dt
    vx, vy = vx * rest, vy * rest
  end
  return x + vx * dt, y + vy * dt, vx, vy
end
