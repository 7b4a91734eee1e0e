-- The first one makes what the program starts with.
return {
  description = "two people, and what the program is called",

  up = function(m)
    local ada = m:create_entity("Person", { name = "Ada", properties = { born = "1815" } }, "ada")
    local alan = m:create_entity("Person", { name = "Alan", properties = { born = "1912" } }, "alan")
    m:create_relation(ada, alan, "INSPIRED", nil, "ada-alan")
    m:set_config("people.title", "Some people")
  end,

  down = function(m)
    m:delete_entity("ada", { cascade = true })
    m:delete_entity("alan")
  end,
}
