CLUSTER = 'of-the-user'
