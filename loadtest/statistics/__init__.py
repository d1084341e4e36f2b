"""What a number of requests can prove. Pure: arrays and numbers in, numbers out; randomness is handed in.

binomial        tails of the binomial distribution, for whole and for effective counts
early_stopping  how many requests a claim needs, how many misses it allows: pass, fail or inconclusive
effective       how many independent requests a run's clustered ones are worth
interval        of a share, of a quantile
"""
