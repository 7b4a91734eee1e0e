-- Marked online it runs in batches, each with its checkpoint: stopped or killed it goes on there.
return {
  description = "everybody has a century",
  online = true,

  up = function(m)
    m:update_entities("Person", function(person)
      local properties = person.metadata.properties
      properties.century = properties.born // 100 + 1
      return person.metadata
    end, { size = 1 })
  end,

  down = function(m)
    m:update_entities("Person", function(person)
      person.metadata.properties.century = nil
      return person.metadata
    end, { size = 1 })
  end,
}
