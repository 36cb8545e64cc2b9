/**
 * What the demo must find. Computed independently of Millrace, with Python's csv module over the two files of the npm
 * package vega-datasets 3.2.1 (`airports.csv`, `flights-airport.csv`: US domestic flights of 2008), by joining the
 * origin and destination of every route to its airport's state and adding up the counts:
 *
 *   for each route: state[airport[origin].state] += (flights=count, routes=1, airports={origin},
 *                                                    leaving=count if the destination lies in another state)
 */
export const expected = {
  airports: 3376,
  routes: 5366,
  flights: 7_009_728,
  states: 52,
  flightsLeavingTheState: 6_085_594,
  /**
   * The routes are sorted by origin: those from before the boundary come first, 2749 are added between. The four of the
   * last origin are read again with them: a source cannot know whether it has seen all that share its last value.
   */
  sync: { boundary: 'LAS', first: 2617, second: 2749 + 4 },
  /** States with so many flights and more, and of those: share of flights that leave the state, least of all. */
  big: {
    from: 100_000,
    states: 24,
    flights: 6_182_544,
    pageSize: 10,
    summary: { states: 24, leaving: 85.75, mostAtHome: 'HI' },
  },
  /** state, flights, routes, airports, flights that leave the state, share of all flights in percent */
  top: [
    ['CA', 824_597, 510, 26, 494_448, 11.76],
    ['TX', 747_650, 460, 24, 512_748, 10.67],
    ['FL', 466_998, 410, 16, 432_076, 6.66],
    ['IL', 461_237, 231, 8, 438_572, 6.58],
    ['GA', 435_781, 197, 8, 413_059, 6.22],
  ],
} as const;
