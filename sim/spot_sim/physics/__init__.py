"""What the simulated devices switch and measure: appliances, a house with its heat pump, weather, household, mains."""
