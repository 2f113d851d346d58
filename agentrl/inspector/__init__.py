"""See what happened: the inspector page, explanations of advantages, and steps taken again."""
