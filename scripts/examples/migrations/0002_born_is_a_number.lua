-- A property gets another type. The function is called for each person; what it answers is written.
return {
  description = "the year of birth is a number",

  up = function(m)
    m:update_entities("Person", function(person)
      person.metadata.properties.born = math.tointeger(tonumber(person.metadata.properties.born))
      return person.metadata
    end)
  end,

  down = function(m)
    m:update_entities("Person", function(person)
      person.metadata.properties.born = tostring(person.metadata.properties.born)
      return person.metadata
    end)
  end,
}
