/** The training loop of the product, one step at a time, so that several can take turns in one process. */
import { type Training, train } from '../../gpu-node/src/train/trainer.ts'

export class StepByStep {
  readonly #training: Training
  #go: () => void = () => undefined
  #done: () => void = () => undefined
  #failed: (error: unknown) => void = () => undefined
  #started = false

  constructor(training: Training) {
    this.#training = training
  }

  /** Makes the next step. Once the last one is made there must be no more calls. */
  step(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#done = resolve
      this.#failed = reject
      if (this.#started) this.#go()
      else this.#start()
    })
  }

  #start(): void {
    this.#started = true
    const between = async () => {
      const turn = new Promise<void>((resolve) => {
        this.#go = resolve
      })
      this.#done()
      await turn
      return 'continue' as const
    }
    train(this.#training, 0, between).catch((error: unknown) => this.#failed(error))
  }
}
