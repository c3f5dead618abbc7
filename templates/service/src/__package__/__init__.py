"""{{ service.about }}"""
